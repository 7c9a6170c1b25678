"""Canaries: one for each lane and period, counted once when it is decided, whatever fails beside it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from flotilla.canary_ports import Readiness
from flotilla.coordination import Pause, PauseScope
from flotilla.errors import PermanentError
from flotilla.events import Event, Kind, chain
from flotilla.models import Status
from flotilla.primitives.canary import CANARY_TENANT, CanaryPlan, canary_key
from flotilla.services.canaries import Canaries, CanaryEnd
from flotilla.services.canary_round import CanaryRounds, LaneRound, Round
from flotilla.services.submit import task_id_for
from functions.canary.handler import due_ms
from functions.worker.canary import canary
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import Fleet, run

PERIOD_SECONDS = 300
PERIOD_MS = PERIOD_SECONDS * 1000
PATIENCE = {"critical": 300, "standard": 300, "batch": 3600}
PLAN = CanaryPlan(PERIOD_SECONDS, PATIENCE)


class Door:
    """The API as clients reach it."""

    def __init__(self, said: Readiness) -> None:
        self.said = said

    async def readiness(self) -> Readiness:
        return self.said


@dataclass
class Trying:
    """A fleet that is tried by the clock."""

    fleet: Fleet = field(default_factory=lambda: Fleet([canary]))
    door: Door | None = None

    def __post_init__(self) -> None:
        # At the beginning of a period, so that steps of one are easy to tell.
        clock = self.fleet.clock
        clock.advance((PERIOD_MS - clock.now_ms() % PERIOD_MS) / 1000)

    def round(self, calls: Calls | None = None) -> Round:
        fleet = self.fleet
        through = calls.through if calls is not None else lambda port: port
        rounds = CanaryRounds(
            plan=PLAN,
            canaries=Canaries(through(fleet.log), PLAN, fleet.clock),
            submit=fleet.submitting(calls),
            agent=fleet.catalog.get("flotilla.canary"),
            pauses=through(fleet.pauses),
            front_door=self.door,
            metrics=fleet.metrics,
            clock=fleet.clock,
        )
        done: Round = run(rounds.run(fleet.clock.now_ms(), "request"))
        return done

    def of(self, done: Round, lane: str = "standard") -> LaneRound:
        return next(each for each in done.lanes if each.lane == lane)

    def work(self, *lanes: str, seconds: float = 2.0) -> None:
        """Let workers do what lies on these lanes (on all, without any)."""
        self.fleet.clock.advance(seconds)
        for message in list(self.fleet.lanes.sent.values()):
            if not lanes or message.lane in lanes:
                run(self.fleet.deliver(self.fleet.delivery(message.task_id)))

    def next_period(self, periods: int = 1) -> None:
        now_ms = self.fleet.clock.now_ms()
        self.fleet.clock.advance((PLAN.period_of(now_ms) + periods * PERIOD_MS - now_ms) / 1000)

    def counted(self, name: str, lane: str = "standard") -> int:
        return self.fleet.metrics.counted(name, lane=lane)

    def task_id(self, lane: str, periods_ago: int = 0) -> str:
        period_ms = PLAN.period_of(self.fleet.clock.now_ms()) - periods_ago * PERIOD_MS
        return task_id_for(CANARY_TENANT, canary_key(lane, period_ms))

    def append(self, task_id: str, kind: Kind, body: dict[str, Any]) -> None:
        log = self.fleet.log.logs[task_id]
        head = log[max(log)]
        event = chain(
            task_id=task_id,
            seq=head.seq + 1,
            kind=kind,
            at_ms=self.fleet.clock.now_ms(),
            actor="worker:w/1",
            attempt=1,
            body=body,
            prev_hash=head.hash,
        )
        log[event.seq] = event


@pytest.fixture
def trying() -> Trying:
    return Trying()


def test_a_round_asks_for_one_canary_on_every_lane_and_a_repeated_one_for_no_more(trying: Trying) -> None:
    done = trying.round()
    assert {each.lane: each.submitted for each in done.lanes} == {lane: trying.task_id(lane) for lane in PATIENCE}
    trying.fleet.clock.advance(3)
    again = trying.round()
    assert [each.submitted for each in again.lanes] == [each.submitted for each in done.lanes]
    assert len(trying.fleet.log.logs) == len(trying.fleet.lanes.sent) == len(PATIENCE)
    assert {message.tenant for message in trying.fleet.lanes.sent.values()} == {CANARY_TENANT}


def test_a_canary_that_came_back_is_counted_and_measured_by_the_next_round(trying: Trying) -> None:
    trying.round()
    trying.work(seconds=2)
    assert trying.of(trying.round()).counted == []  # its period is not over
    trying.next_period()
    (counted,) = trying.of(trying.round()).counted
    assert (counted.end, counted.latency_ms) == (CanaryEnd.SUCCEEDED, 2000)
    assert [trying.counted("CanarySucceeded", lane) for lane in PATIENCE] == [1, 1, 1]
    assert trying.fleet.metrics.measured == [("CanaryLatency", 2000)] * 3
    assert trying.fleet.metrics.total("CanaryFailed") == 0


def test_each_canary_is_counted_by_one_round_only(trying: Trying) -> None:
    for _ in range(20):
        trying.round()
        trying.work()
        trying.next_period()
    assert trying.counted("CanarySucceeded", "batch") == trying.counted("CanarySucceeded", "critical") == 19


def test_one_that_is_slow_within_what_its_lane_allows_is_counted_when_it_ends(trying: Trying) -> None:
    trying.round()
    for _ in range(4):
        trying.next_period()
        assert trying.of(trying.round(), "batch").counted == []
    trying.work("batch", seconds=1)
    trying.next_period()
    counted = trying.of(trying.round(), "batch").counted
    assert [each.end for each in counted] == [CanaryEnd.SUCCEEDED] * 5
    assert max(each.latency_ms or 0 for each in counted) == 4 * PERIOD_MS + 1000


def test_one_that_does_not_come_back_in_time_has_failed_once_and_is_never_run(trying: Trying) -> None:
    trying.round()
    late = trying.task_id("critical")
    trying.next_period(2)
    (counted,) = trying.of(trying.round(), "critical").counted
    assert (counted.task_id, counted.end, counted.why) == (late, CanaryEnd.FAILED, "late")
    trying.work("critical")
    assert run(trying.fleet.state(late)).status is Status.EXPIRED
    trying.next_period()
    assert late not in [each.task_id for each in trying.of(trying.round(), "critical").counted]
    assert trying.counted("CanaryFailed", "critical") == 1


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        (Kind.DEAD_LETTERED, {"error": {"code": "x", "message": "it broke", "retryable": False}}, "dead_lettered"),
        (Kind.CANCELLED, {}, "cancelled"),
        (Kind.SUCCEEDED, {"output": {"inline": {"value": "another's"}}, "usage": {}}, "wrong_answer"),
    ],
)
def test_one_that_ends_otherwise_has_failed(trying: Trying, kind: Kind, body: dict[str, Any], why: str) -> None:
    trying.round()
    trying.append(trying.task_id("standard"), Kind.STARTED, {"lease_until_ms": trying.fleet.clock.now_ms() + 1000})
    trying.append(trying.task_id("standard"), kind, body)
    trying.next_period()
    (counted,) = trying.of(trying.round()).counted
    assert (counted.end, counted.why) == (CanaryEnd.FAILED, why)
    assert (trying.counted("CanaryFailed"), trying.counted("CanarySucceeded")) == (1, 0)


def test_a_log_that_breaks_its_rules_is_a_failure(trying: Trying) -> None:
    trying.round()
    trying.append(trying.task_id("standard"), Kind.SUCCEEDED, {})
    trying.next_period(2)
    (counted,) = trying.of(trying.round()).counted
    assert (counted.end, counted.why) == (CanaryEnd.FAILED, "corrupt_log")


@pytest.mark.parametrize(("scope", "name"), [(PauseScope.FLEET, ""), (PauseScope.LANE, "standard")])
def test_a_pause_is_no_failure_and_nothing_is_sent_to_what_is_paused(
    trying: Trying, scope: PauseScope, name: str
) -> None:
    trying.round()
    run(trying.fleet.pause(scope, name))
    trying.work("standard")  # it is parked
    trying.next_period(2)
    done = trying.of(trying.round())
    assert (done.submitted, done.held) == (None, scope.value)
    assert [each.end for each in done.counted] == [CanaryEnd.HELD]
    run(trying.fleet.pauses.remove(scope, name))
    trying.work("standard", seconds=100)
    trying.next_period()
    trying.round()
    assert trying.fleet.metrics.counted("CanaryFailed", lane="standard") == trying.counted("CanarySucceeded") == 0


def test_one_that_no_worker_has_seen_since_the_pause_began_is_no_failure_either(trying: Trying) -> None:
    trying.round()
    run(trying.fleet.pause())
    trying.next_period(2)
    assert [each.end for each in trying.of(trying.round()).counted] == [CanaryEnd.HELD]


def test_another_lanes_pause_holds_nothing_up(trying: Trying) -> None:
    run(trying.fleet.pauses.put(Pause(PauseScope.LANE, "batch", "", "key:op", 0)))
    done = trying.round()
    assert trying.of(done).submitted is not None
    assert (trying.of(done, "batch").submitted, trying.of(done, "batch").held) == (None, "lane")


def test_that_the_api_is_not_ready_is_counted_and_that_it_is_costs_no_metric(trying: Trying) -> None:
    assert trying.round().to_json()["api"] is None
    trying.door = Door(Readiness(ready=True, latency_ms=5))
    assert trying.round().to_json()["api"] == {"ready": True, "why": ""}
    assert trying.fleet.metrics.total("ReadinessFailed") == 0
    trying.door = Door(Readiness(ready=False, latency_ms=5, down=("events",), why="status 503"))
    trying.round()
    assert trying.fleet.metrics.total("ReadinessFailed") == 1


def calls_of_a_round() -> int:
    trying = Trying()
    trying.round()
    trying.work()
    trying.next_period()
    calls = Calls()
    trying.round(calls)
    return len(calls.made)


def test_whichever_call_fails_no_canary_is_lost_or_doubled_and_other_lanes_have_theirs() -> None:
    for failure in every_failure(calls_of_a_round()):
        trying = Trying()
        trying.round()
        trying.work()
        trying.next_period()
        with contextlib.suppress(Died):
            done = trying.round(failure)
            assert sum(each.submitted is not None for each in done.lanes) >= len(PATIENCE) - 1
            assert sum(each.problem is not None for each in done.lanes) <= 1
        again = trying.round()  # as Lambda or EventBridge would repeat it
        assert all(each.submitted is not None and each.problem is None for each in again.lanes)
        assert len(trying.fleet.log.logs) == 2 * len(PATIENCE)
        assert len({message.task_id for message in trying.fleet.lanes.sent.values()}) == 2 * len(PATIENCE)


def test_a_lane_that_takes_nothing_has_failed_and_the_others_go_on(trying: Trying) -> None:
    class Full:
        """A lane that is gone."""

        def __init__(self, lanes: Any) -> None:
            self.lanes = lanes

        async def send(self, message: Any) -> None:
            if message.lane == "standard":
                raise PermanentError("no such queue")
            await self.lanes.send(message)

    calls = Calls()
    through = calls.through
    calls.through = lambda port: Full(port) if port is trying.fleet.lanes else through(port)  # type: ignore[method-assign]
    done = trying.round(calls)
    assert {each.lane: each.problem for each in done.lanes} == {
        "critical": None,
        "standard": "not_accepted",
        "batch": None,
    }
    assert trying.counted("CanaryFailed") == 1


def test_the_newest_that_was_decided_is_shown_and_one_under_way_only_before_any_other(trying: Trying) -> None:
    canaries = Canaries(trying.fleet.log, PLAN, trying.fleet.clock)
    assert run(canaries.newest("standard")) is None
    trying.round()
    first = run(canaries.newest("standard"))
    assert (first.end, first.latency_ms) == (CanaryEnd.PENDING, None)
    trying.work()
    trying.next_period()
    trying.round()
    newest = run(canaries.newest("standard"))
    assert (newest.task_id, newest.end) == (trying.task_id("standard", periods_ago=1), CanaryEnd.SUCCEEDED)


def test_the_schedules_own_time_names_the_round_and_without_one_the_clock_does() -> None:
    at = datetime(2030, 1, 31, 12, 5, tzinfo=UTC)
    assert due_ms({"time": "2030-01-31T12:05:00Z"}, 7) == at.timestamp() * 1000
    for event in ({}, {"time": None}, {"time": "noon"}, {"time": "2030-01-31T12:05:00"}):
        assert due_ms(event, 7) == 7


def events_of(trying: Trying, task_id: str) -> list[Event]:
    return [event for _, event in sorted(trying.fleet.log.logs[task_id].items())]


def test_a_canary_is_done_in_three_events(trying: Trying) -> None:
    trying.round()
    trying.work()
    kinds = [event.kind for event in events_of(trying, trying.task_id("batch"))]
    assert kinds == [Kind.ACCEPTED, Kind.STARTED, Kind.SUCCEEDED]
