"""The scaler, with every call failing in every way: nothing is throttled, and the next runs mend what is left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flotilla.primitives.scaling import ScalingPolicy
from flotilla.scaling_ports import Capacity
from tests.fakes.scaling import MemoryLaneCapacity
from tests.unit.services.crashes import Calls, every_failure
from tests.unit.services.scaling import POOL, ScaledFleet

Story = Callable[[ScaledFleet], None]


def burst(fleet: ScaledFleet) -> None:
    fleet.load("standard", waiting=5000, in_flight=20, oldest_seconds=40)


def borrowing(fleet: ScaledFleet) -> None:
    burst(fleet)
    fleet.scale()
    fleet.load("standard", waiting=5000, in_flight=900, oldest_seconds=60)


def back(fleet: ScaledFleet) -> None:
    borrowing(fleet)
    fleet.load("batch", waiting=20_000, in_flight=20, oldest_seconds=560)
    fleet.load("critical", waiting=900, in_flight=20, oldest_seconds=25)


def over(fleet: ScaledFleet) -> None:
    borrowing(fleet)
    fleet.load("standard", waiting=0)
    for _ in range(2):
        fleet.scale()


def overwritten(fleet: ScaledFleet) -> None:
    borrowing(fleet)
    for lane, share in (("critical", 20), ("standard", 40), ("batch", 40)):
        fleet.give(lane, reserved=share)


STORIES: dict[str, Story] = {
    "a burst": burst,
    "a lane wants back what it lent": back,
    "the burst is over": over,
    "a deployment has set what templates say": overwritten,
}
RUNS = 16
"""More than lanes take from whatever they have to rest, where cooldowns last a period."""


def resting() -> ScaledFleet:
    shares = {"critical": 20, "standard": 40, "batch": 40}
    return ScaledFleet(
        policy=ScalingPolicy(POOL, raise_cooldown_ms=60_000, lower_cooldown_ms=60_000),
        capacity=MemoryLaneCapacity({name: Capacity(2, share) for name, share in shares.items()}, POOL),
    )


def played(story: Story, calls: Calls, failing: int) -> ScaledFleet:
    """A fleet in which one run fails at one call, and which then goes on for as long as it takes to settle."""
    fleet = resting()
    story(fleet)
    broken = any((each.reserved or 0) < (each.concurrency or 0) for each in fleet.capacity.lanes.values())
    fleet.capacity.history.clear()
    for number in range(RUNS):
        fleet.try_to_scale(calls if number == failing else None)
    if not broken:
        fleet.assert_sound((calls.made, calls.fatal, calls.fate))
    return fleet


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("name", STORIES)
def test_whatever_call_fails_and_how_the_lanes_come_to_have_what_they_would_have_had(name: str, failing: int) -> None:
    healthy = Calls()
    expected = played(STORIES[name], healthy, failing).all()
    for calls in every_failure(len(healthy.made)):
        fleet = played(STORIES[name], calls, failing)
        where = f"{name}: call {calls.fatal} ({calls.made}), {calls.fate}"
        assert fleet.all() == expected, where
        for lane, (concurrency, reserved) in fleet.all().items():
            assert (reserved or 0) >= (concurrency or 0), (where, lane)
        assert fleet.memories.memory.busy_until_ms <= fleet.clock.now_ms(), where


def test_a_broken_state_is_never_made_worse_whatever_call_fails() -> None:
    """Less is reserved for a lane than may be asked for, and together more than there is: both get better only."""

    def broken() -> ScaledFleet:
        lanes = {"critical": Capacity(60, 20), "standard": Capacity(90, 60), "batch": Capacity(2, 40)}
        fleet = ScaledFleet(capacity=MemoryLaneCapacity(lanes, 150))
        fleet.load("standard", waiting=5000, in_flight=400, oldest_seconds=40)
        return fleet

    healthy = Calls()
    broken().scale(healthy)
    for calls in every_failure(len(healthy.made)):
        fleet = broken()
        fleet.try_to_scale(calls)
        for _ in range(RUNS):
            fleet.scale()
        together = [sum(each.reserved or 0 for each in then.values()) for then in fleet.capacity.history]
        assert max(together) <= 120, (calls.fatal, calls.fate)
        fleet.assert_sound_now()
