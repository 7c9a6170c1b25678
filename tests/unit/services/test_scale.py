"""Capacity follows the work, and what other people do to it is respected."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from flotilla.coordination import Pause, PauseScope
from flotilla.errors import RetryableError
from flotilla.primitives.scaling import ScalingPolicy
from flotilla.scaling_ports import Capacity, MappingState, ScalingMemory
from flotilla.services.scale import Change
from tests.fakes.scaling import MemoryLaneCapacity, MemoryScalingMemories
from tests.unit.services.scaling import POOL, REMAINING_MS, ScaledFleet, bounds


@pytest.fixture
def fleet() -> ScaledFleet:
    fleet = ScaledFleet()
    fleet.rest()
    assert fleet.all() == {"critical": (2, 20), "standard": (2, 40), "batch": (2, 40)}, "idle, and nothing is lent"
    return fleet


def test_an_idle_fleet_asks_for_counts_only_and_writes_nothing(fleet: ScaledFleet) -> None:
    stores, pauses = fleet.memories.stores, fleet.pauses.reads
    assert fleet.scale() == []
    assert (fleet.memories.stores, fleet.pauses.reads) == (stores, pauses)
    assert fleet.metrics.total("ScalerRuns") == fleet.runs
    assert not fleet.metrics.names() & {"LaneBacklog", "LaneConcurrency", "LaneReserved", "LaneLent"}


def test_a_backlog_raises_its_lane_and_when_it_is_gone_the_lane_is_lowered_after_the_cooldown(
    fleet: ScaledFleet,
) -> None:
    fleet.load("standard", waiting=200, in_flight=20, oldest_seconds=20)
    (change,) = fleet.scale()
    assert (change.lane, change.before, change.why) == ("standard", (2, 40), "backlog")
    assert 2 < change.after[0] <= 40
    raised = fleet.has("standard")[0]
    fleet.load("standard", waiting=0)
    periods = 0
    while not (changes := fleet.scale()):
        periods += 1
    assert periods * 60 >= fleet.policy.lower_cooldown_ms / 1000 - 60
    assert changes[0].why == "idle"
    assert (changes[0].after[0]) < (raised or 0)
    fleet.assert_sound()


def test_more_is_reserved_before_more_may_be_asked_for_and_less_only_in_a_later_run(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    fleet.scale()
    changes = [(lane, what) for lane, what, _ in fleet.capacity.changes[-4:]]
    assert changes == [("critical", "reserve"), ("batch", "reserve"), ("standard", "reserve"), ("standard", "limit")]
    lent = fleet.has("standard")
    assert lent == (90, 90)
    for lane in ("critical", "batch"):
        fleet.load(lane, waiting=5000, in_flight=20, oldest_seconds=300)
    fleet.load("standard", waiting=5000, in_flight=900, oldest_seconds=60)
    fleet.scale()
    concurrency, reserved = fleet.has("standard")
    assert (concurrency or 0) < 90 == reserved, "its mapping does not know yet that it has less"
    fleet.scale()
    assert fleet.has("standard")[1] == concurrency
    fleet.assert_sound()


def test_a_lane_that_lent_its_capacity_has_it_back_within_two_periods(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    fleet.scale()
    assert fleet.has("batch") == (2, 2)
    fleet.load("standard", waiting=5000, in_flight=900, oldest_seconds=60)
    fleet.load("batch", waiting=20_000, in_flight=20, oldest_seconds=560)
    fleet.scale()
    fleet.load("batch", waiting=20_000, in_flight=80, oldest_seconds=620)
    fleet.scale()
    assert fleet.has("batch") == (40, 40)
    fleet.assert_sound()


def test_what_the_account_refuses_is_not_asked_of_the_mapping(fleet: ScaledFleet) -> None:
    fleet.capacity.account_limit = POOL - 30  # somebody else's functions reserve more than is known
    fleet.give("batch", reserved=10)
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    for _ in range(3):
        fleet.scale()
    concurrency, reserved = fleet.has("standard")
    assert concurrency == reserved == 40, "of its share everything, and not a call that would be throttled"
    assert fleet.metrics.counted("LaneAtMaximum", lane="standard") >= 1
    fleet.assert_sound()


def test_a_lane_that_calls_for_more_than_it_may_have_is_told_of(fleet: ScaledFleet) -> None:
    for _ in range(4):
        fleet.load("standard", waiting=50_000, in_flight=10 * (fleet.has("standard")[0] or 0), oldest_seconds=40)
        fleet.scale()
    assert fleet.metrics.counted("LaneAtMaximum", lane="standard") >= 2
    assert fleet.metrics.counted("LaneAtMaximum", lane="batch") == 0


def test_while_there_is_work_every_lanes_state_is_measured(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    fleet.scale()
    assert fleet.metrics.values("LaneBacklog", lane="standard") == [5000]
    assert fleet.metrics.values("LaneBacklog", lane="batch") == [0]
    assert fleet.metrics.values("LaneConcurrency", lane="standard") == [90]
    assert fleet.metrics.values("LaneReserved", lane="standard") == [90]
    assert fleet.metrics.values("LaneLent", lane="batch") == [38]
    assert fleet.metrics.counted("ScalerChanges", lane="standard") >= 1


def test_each_change_is_logged_with_why(fleet: ScaledFleet, caplog: pytest.LogCaptureFixture) -> None:
    fleet.load("standard", waiting=200, in_flight=20, oldest_seconds=20)
    with caplog.at_level(logging.INFO, "flotilla.scaler"):
        (change,) = fleet.scale()
    (line,) = [record for record in caplog.records if record.message == "lane scaled"]
    told = line.__dict__
    assert (told["lane"], told["why"], told["waiting"], told["oldest_ms"]) == ("standard", "backlog", 200, 20_000)
    assert (told["concurrency_before"], told["concurrency"]) == (2, change.after[0])


@pytest.mark.parametrize("scope", [PauseScope.LANE, PauseScope.FLEET])
def test_a_paused_lane_is_not_raised(fleet: ScaledFleet, scope: PauseScope) -> None:
    name = "standard" if scope is PauseScope.LANE else ""
    asyncio.run(fleet.pauses.put(Pause(scope, name, "", "key:k1", 1)))
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=400)
    for _ in range(3):
        fleet.scale()
    assert fleet.has("standard") == (2, 40)
    asyncio.run(fleet.pauses.remove(scope, name))
    fleet.scale()
    assert (fleet.has("standard")[0] or 0) > 2


def test_a_lane_whose_mapping_an_operator_disabled_is_not_raised(fleet: ScaledFleet) -> None:
    fleet.give("standard", mapping=MappingState.DISABLED)
    fleet.load("standard", waiting=5000, in_flight=0, oldest_seconds=400)
    fleet.scale()
    assert fleet.has("standard")[0] == 2


def test_a_lane_whose_mapping_is_being_changed_is_left_alone(fleet: ScaledFleet) -> None:
    fleet.give("standard", mapping=MappingState.CHANGING)
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    fleet.load("batch", waiting=5000, in_flight=20, oldest_seconds=400)
    fleet.scale()
    assert fleet.has("standard") == (2, 40)
    assert (fleet.has("batch")[0] or 0) > 2, "the others are not"
    fleet.give("standard", mapping=MappingState.ENABLED)
    fleet.scale()
    assert (fleet.has("standard")[0] or 0) > 2


def test_a_function_that_somebody_stopped_stays_stopped(fleet: ScaledFleet) -> None:
    fleet.give("standard", reserved=0)
    fleet.load("standard", waiting=5000, in_flight=0, oldest_seconds=4000)
    for _ in range(4):
        fleet.scale()
    assert fleet.has("standard") == (2, 0)


def test_a_lane_whose_backlog_is_not_known_keeps_what_it_has(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    fleet.scale()
    had = fleet.has("standard")
    fleet.backlogs.silent = {"standard"}
    for _ in range(10):
        fleet.scale()
    assert fleet.has("standard") == had


def test_where_it_is_not_known_what_a_lane_has_nothing_is_done(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    fleet.capacity.silent = {"batch"}
    changes = list(fleet.capacity.changes)
    with pytest.raises(RetryableError):
        fleet.scale()
    assert fleet.capacity.changes == changes


def test_a_change_by_somebody_else_is_where_the_next_run_begins(fleet: ScaledFleet) -> None:
    fleet.give("standard", concurrency=30)
    fleet.load("standard", waiting=0, in_flight=250)
    assert fleet.scale() == []
    assert fleet.memories.memory.lanes["standard"].concurrency == 30


def test_less_reserved_than_may_be_asked_for_is_mended_at_once(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    fleet.scale()
    assert fleet.has("standard") == (90, 90)
    fleet.give("standard", reserved=40)  # a deployment sets what the template says
    changes = fleet.scale()
    concurrency, reserved = fleet.has("standard")
    assert (reserved or 0) >= (concurrency or 0) > 30
    assert Change("standard", (90, 40), (concurrency or 0, reserved or 0), "mended") in changes


def test_a_function_of_which_nothing_is_reserved_gets_its_reservation() -> None:
    fleet = ScaledFleet(
        capacity=MemoryLaneCapacity(dict.fromkeys(("critical", "standard", "batch"), Capacity(5, None)))
    )
    fleet.scale()
    fleet.assert_sound_now()
    assert fleet.all() == {"critical": (5, 20), "standard": (5, 40), "batch": (5, 40)}


def test_a_mapping_without_a_maximum_gets_one() -> None:
    fleet = ScaledFleet()
    fleet.give("standard", concurrency=None)
    fleet.scale()
    fleet.assert_sound_now()
    assert (fleet.has("standard")[0] or 1000) <= 40


def test_of_two_runs_at_once_the_later_does_nothing(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    before = len(fleet.capacity.changes)

    async def both() -> tuple[list[Change], list[Change]]:
        return await asyncio.gather(*(fleet.scaler().run(name, REMAINING_MS) for name in ("one", "other")))

    one, other = asyncio.run(both())
    assert sorted([bool(one), bool(other)]) == [False, True]
    assert len(fleet.capacity.changes) - before == 4
    fleet.assert_sound()


def test_what_lanes_have_is_read_after_the_version_that_changes_are_claimed_by(fleet: ScaledFleet) -> None:
    """Or a run whose reads were overtaken by another's changes would take what it changed for what is."""

    class Slow(MemoryScalingMemories):
        async def read(self) -> ScalingMemory:
            for _ in range(100):
                await asyncio.sleep(0)
            assert fleet.capacity.reads == before
            return await super().read()

    slow = Slow()
    slow.memory, fleet.memories, before = fleet.memories.memory, slow, fleet.capacity.reads
    fleet.scale()
    assert fleet.capacity.reads == before + 3


def test_while_a_run_is_at_it_another_leaves_it_and_is_not_kept_away_for_long(fleet: ScaledFleet) -> None:
    fleet.memories.memory = replace(fleet.memories.memory, busy_until_ms=fleet.clock.now_ms() + REMAINING_MS)
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    assert fleet.scale() == []
    assert fleet.scale() != [], "a minute later it is over, whatever became of it"


def test_turning_it_off_gives_each_lane_its_own_share(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)
    fleet.scale()
    for _ in range(2):
        fleet.scale(restore=True)
    assert fleet.all() == {"critical": (20, 20), "standard": (40, 40), "batch": (40, 40)}
    fleet.assert_sound()


def test_a_pool_that_got_smaller_is_never_exceeded_further() -> None:
    fleet = ScaledFleet(
        policy=ScalingPolicy(60),
        bounds={"critical": bounds(10), "standard": bounds(20), "batch": bounds(30)},
    )
    fleet.capacity.account_limit = None
    fleet.load("standard", waiting=5000, in_flight=400, oldest_seconds=40)
    together = [sum(reserved or 0 for _, reserved in fleet.all().values())]
    for _ in range(20):
        fleet.scale()
        together.append(sum(reserved or 0 for _, reserved in fleet.all().values()))
    assert together == sorted(together, reverse=True)
    assert together[-1] <= 60
