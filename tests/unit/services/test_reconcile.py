"""The reconciler: whoever waits for a message that will not come gets it, and nobody else."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest

from flotilla.events import Kind
from flotilla.models import Status
from flotilla.services.reconcile import SWEEPS
from flotilla.services.stuck import BUSY_MESSAGES, LONGEST_WAIT_SECONDS, Look
from tests.unit.services.crashes import Calls, Died, Fate, every_failure
from tests.unit.services.fleet import run
from tests.unit.services.reconciling import Step, Yard

HOUR = 3600
DAY = 24 * HOUR
STARTED_LONG_AGO: Step = (1, Kind.STARTED, {"lease_until_ms": 0})


@pytest.fixture
def yard() -> Yard:
    return Yard()


def due(yard: Yard, seconds: float) -> dict[str, Any]:
    return {"next_attempt_ms": yard.clock.now_ms() + int(seconds * 1000)}


def test_a_task_whose_first_message_was_lost_gets_it_after_ten_minutes(yard: Yard) -> None:
    yard.task("lost")
    sent = yard.minutes(30)
    assert [task_id for _, task_id in sent] == ["lost", "lost"]
    assert 10 <= sent[0][0] <= 16
    assert yard.lanes.sent["lost-0"].not_before_ms is None
    assert yard.kinds("lost") == ["accepted"], "it appends nothing"


def test_a_stuck_task_is_sent_its_message_less_and_less_often_and_never_forgotten(yard: Yard) -> None:
    yard.task("lost")
    times = [minute for minute, _ in yard.minutes(3 * 24 * 60)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[:5] == [10, 20, 40, 80, 160]
    assert set(gaps[6:]) == {LONGEST_WAIT_SECONDS // 60}
    assert times[-1] > 2.5 * 24 * 60


@pytest.mark.parametrize("kind", [Kind.ATTEMPT_FAILED, Kind.PARKED])
def test_a_task_that_waits_for_its_time_is_sent_its_message_two_minutes_after_it(yard: Yard, kind: Kind) -> None:
    yard.task("lost", STARTED_LONG_AGO, (2, kind, due(yard, 30 * 60)))
    assert yard.minutes(31) == []
    assert yard.minutes(2) == [(1, "lost")]


def test_a_delayed_task_is_sent_its_message_two_minutes_after_it_is_due(yard: Yard) -> None:
    yard.task("lost", due_at_ms=yard.clock.now_ms() + 3 * HOUR * 1000)
    assert yard.minutes(181) == []
    assert yard.minutes(2) == [(1, "lost")]


def test_a_task_that_runs_is_left_to_its_worker_until_nobody_can_be_at_it(yard: Yard) -> None:
    lease_ms = yard.clock.now_ms() + 25 * 60_000
    yard.task("running", (1, Kind.STARTED, {"lease_until_ms": lease_ms}))
    assert yard.minutes(26) == []
    assert yard.minutes(2) == [(1, "running")]
    assert yard.lanes.sent["running-1"].attempt == 1


def test_a_task_redriven_long_after_it_was_accepted_needs_no_sweep(yard: Yard) -> None:
    old = yard.clock.now_ms() - 20 * DAY * 1000
    yard.task("old", STARTED_LONG_AGO, (2, Kind.DEAD_LETTERED), (20 * DAY, Kind.REDRIVEN), began_ms=old)
    assert yard.minutes(11)[0] == (10, "old")


@pytest.mark.parametrize("kind", [Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.EXPIRED, Kind.CANCELLED])
def test_of_what_has_ended_not_even_the_log_is_read(yard: Yard, kind: Kind) -> None:
    for number in range(20):
        yard.task(f"done{number}", STARTED_LONG_AGO, (2, kind))
    assert yard.minutes(26 * 60) == []
    assert yard.log.reads == 0


def test_a_task_that_waits_for_a_signal_is_sent_nothing(yard: Yard) -> None:
    yard.task("waiting", STARTED_LONG_AGO, (2, Kind.WAITING))
    assert yard.minutes(26 * 60) == []


def test_a_wait_whose_time_is_over_is_sent_the_message_that_ends_it(yard: Yard) -> None:
    until = {"until_ms": yard.clock.now_ms() + 3 * HOUR * 1000}
    yard.task("waiting", STARTED_LONG_AGO, (2, Kind.WAITING, until))
    assert yard.minutes(181) == []
    assert yard.minutes(2) == [(1, "waiting")]
    assert yard.lanes.sent["waiting-2"].not_before_ms == until["until_ms"]


def test_a_signalled_task_whose_message_was_lost_gets_it_after_ten_minutes(yard: Yard) -> None:
    yard.task("signalled", (1, Kind.STARTED), (2, Kind.WAITING), (3, Kind.SIGNALLED))
    assert yard.minutes(12)[0] == (11, "signalled")


def test_a_run_in_which_nothing_is_overdue_reads_the_list_and_the_sweeps_marks(yard: Yard) -> None:
    yard.task("due later", due_at_ms=yard.clock.now_ms() + DAY * 1000)
    yard.reconcile()
    calls = Calls()
    assert yard.reconcile(calls).finished
    assert Counter(calls.made) == {"overdue": 1, "mark": len(SWEEPS)}


def test_a_day_of_sweeps_reads_each_entry_four_times_and_no_log_of_what_has_ended(yard: Yard) -> None:
    yard.task("done", STARTED_LONG_AGO, (2, Kind.SUCCEEDED))
    calls = Calls()
    reconciler = yard.reconciler(calls)
    for _ in range(25 * 60):
        yard.clock.advance(60)
        run(reconciler.run(yard.clock.now_ms() + 40_000))
    windows = 25 * (12 + 4 + 4 + 4)
    assert calls.made.count("list") == pytest.approx(windows, rel=0.02)
    assert "read" not in calls.made


def test_a_read_model_that_is_behind_is_brought_up_to_the_log_and_nothing_sent(yard: Yard) -> None:
    yard.task("done", STARTED_LONG_AGO, (2, Kind.PARKED, due(yard, 5)), (6, Kind.STARTED), (7, Kind.SUCCEEDED))
    yard.views.entries.clear()
    yard.project(list(yard.log.logs["done"].values())[:3])
    assert yard.minutes(5) == []
    entry = yard.views.entries["done"]
    assert (entry.status, entry.head_seq, entry.look_at_ms) == (Status.SUCCEEDED, 4, None)


def test_what_goes_on_unseen_by_the_read_model_is_looked_after_when_it_would_be_stuck(yard: Yard) -> None:
    lease_ms = yard.clock.now_ms() + HOUR * 1000
    yard.task(
        "running",
        STARTED_LONG_AGO,
        (2, Kind.PARKED, due(yard, 5)),
        (6, Kind.STARTED, {"lease_until_ms": lease_ms}),
    )
    assert yard.minutes(61) == []
    assert yard.log.reads <= 3
    assert yard.minutes(2) == [(1, "running")]


def test_a_task_the_read_model_learns_of_late_is_found_by_a_later_sweep(yard: Yard) -> None:
    events = yard.task("late", projected=0)
    assert yard.minutes(55) == []
    yard.project(events)
    minute, task_id = yard.minutes(25)[0]
    assert task_id == "late"
    assert minute <= 22, "the sweep at an hour has it"


def test_a_reconciler_that_did_not_run_for_hours_catches_up(yard: Yard) -> None:
    yard.reconcile()
    yard.clock.advance(60)
    yard.task("lost")
    yard.clock.advance(7 * HOUR)
    assert yard.minutes(2)[0] == (1, "lost")


def test_a_lane_with_a_backlog_is_not_made_longer(yard: Yard) -> None:
    yard.depths.depths["standard"] = BUSY_MESSAGES + 1
    for number in range(30):
        yard.task(f"queued{number}")
    yard.task("due", due_at_ms=yard.clock.now_ms() + 60_000)
    yard.task("urgent", lane="critical")
    assert {task_id for _, task_id in yard.minutes(100)} == {"urgent"}
    assert yard.log.reads < 30, "nor are the logs read of what its backlog explains"
    yard.depths.depths.clear()
    assert {"due", "queued0"} <= {task_id for _, task_id in yard.minutes(5 * 60)}


def test_a_lane_that_is_always_behind_hides_no_lost_message_for_ever(yard: Yard) -> None:
    yard.depths.depths["standard"] = 10 * BUSY_MESSAGES
    yard.task("due", due_at_ms=yard.clock.now_ms() + 60_000)
    yard.task("queued")
    first = {task_id: minute for minute, task_id in reversed(yard.minutes(40 * 60))}
    assert first["due"] < 13 * 60
    assert first["queued"] < 36 * 60


def test_a_lane_is_asked_for_its_depth_once_a_run_and_only_where_it_matters(yard: Yard) -> None:
    for number in range(25):
        yard.task(f"due{number}", due_at_ms=yard.clock.now_ms() + 1000)
    yard.reconcile()
    assert yard.depths.asked == []
    yard.clock.advance(200)
    yard.reconcile()
    assert yard.depths.asked == ["standard"]
    assert len(yard.lanes.sent) == 25


def test_a_lane_that_does_not_tell_its_depth_keeps_nobody_from_their_message() -> None:
    def one_due() -> Yard:
        yard = Yard()
        yard.task("due", due_at_ms=yard.clock.now_ms() + 1000)
        yard.clock.advance(200)
        return yard

    calls = Calls()
    one_due().reconcile(calls)
    yard = one_due()
    yard.reconcile(Calls(calls.made.index("waiting"), Fate.REFUSED))
    assert list(yard.lanes.sent) == ["due-0"]


def test_a_task_for_a_lane_that_was_removed_holds_up_nobody(yard: Yard) -> None:
    yard.task("nowhere", lane="removed", due_at_ms=yard.clock.now_ms() + 1000)
    yard.task("due", due_at_ms=yard.clock.now_ms() + 1000)
    yard.clock.advance(200)
    assert yard.reconcile().looks == {Look.HOPELESS: 1, Look.SENT: 1}
    assert yard.reconcile().looks == {}, "it is looked at again, but later"


def test_a_corrupt_log_holds_up_nobody(yard: Yard) -> None:
    for name in ("corrupt", "due"):
        yard.task(name, due_at_ms=yard.clock.now_ms() + 1000)
    ((_, other),) = yard.log.logs["due"].items()
    yard.log.logs["corrupt"] = {0: other, 1: other}
    yard.clock.advance(200)
    assert yard.reconcile().looks == {Look.HOPELESS: 1, Look.SENT: 1}
    assert yard.reconcile().looks == {}


@pytest.mark.parametrize("left", [{}, {1}])
def test_a_log_that_retention_has_dropped_is_taken_off_the_list(yard: Yard, left: set[int]) -> None:
    yard.task("dropped", STARTED_LONG_AGO, due_at_ms=yard.clock.now_ms() + 1000)
    yard.log.logs["dropped"] = {seq: event for seq, event in yard.log.logs["dropped"].items() if seq in left}
    assert yard.minutes(30) == []
    assert yard.views.entries["dropped"].look_at_ms is None


def _stuck_in_every_way(yard: Yard) -> set[str]:
    yard.reconcile()
    yard.task("queued")
    yard.task("due", due_at_ms=yard.clock.now_ms() + 1000)
    yard.task("parked", STARTED_LONG_AGO, (2, Kind.PARKED, due(yard, 30)))
    yard.task("behind", STARTED_LONG_AGO, (2, Kind.ATTEMPT_FAILED, due(yard, 30)), projected=1)
    yard.clock.advance(1000)
    return {"queued", "due", "parked", "behind"}


def _calls_of_a_run() -> list[str]:
    yard = Yard()
    _stuck_in_every_way(yard)
    calls = Calls()
    yard.reconcile(calls)
    return calls.made


def test_whatever_call_fails_and_however_every_stuck_task_gets_its_message_soon_after() -> None:
    tried = 0
    for calls in every_failure(len(_calls_of_a_run())):
        yard = Yard()
        stuck = _stuck_in_every_way(yard)
        logs = {task_id: yard.kinds(task_id) for task_id in stuck}
        try:
            yard.reconcile(calls)
        except Died:
            tried += 1
        yard.minutes(3)
        assert {message.task_id for message in yard.lanes.sent.values()} == stuck, calls
        assert {task_id: yard.kinds(task_id) for task_id in stuck} == logs, "no event is appended"
        assert max(Counter(yard.lanes.history).values()) <= 2, "and no message is sent more than once too often"
        assert all(entry.look_at_ms is not None for entry in yard.views.entries.values()), "all are still looked after"
    assert tried == 2 * len(_calls_of_a_run())


def test_two_runs_at_once_send_the_same_messages_as_one(yard: Yard) -> None:
    stuck = _stuck_in_every_way(yard)

    async def twice() -> None:
        until_ms = yard.clock.now_ms() + 40_000
        await asyncio.gather(yard.reconciler().run(until_ms), yard.reconciler().run(until_ms))

    run(twice())
    assert {message.task_id for message in yard.lanes.sent.values()} == stuck
    assert len(yard.lanes.sent) == len(stuck), "their deduplication ids are the same"
    assert yard.reconcile().looks == {}


class Slow:
    """A store in memory each of whose calls takes a second."""

    def __init__(self, store: Any, yard: Yard) -> None:
        self._store = store
        self._yard = yard

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **options: Any) -> Any:
            self._yard.clock.advance(1)
            return await method(*args, **options)

        return call


def test_a_run_ends_in_time_and_the_next_goes_on_where_it_ended(yard: Yard) -> None:
    yard.reconcile()
    for number in range(60):
        yard.task(f"queued{number:02d}", tenant=f"tenant{number % 3}")
        yard.task(f"due{number:02d}", due_at_ms=yard.clock.now_ms() + 1000)
    yard.clock.advance(1000)
    reconciler = yard.reconciler()
    reconciler._log = Slow(yard.log, yard)
    results = []
    for _ in range(30):
        began_ms = yard.clock.now_ms()
        results.append(run(reconciler.run(began_ms + 10_000)))
        assert yard.clock.now_ms() <= began_ms + 10_000 + 20_000, "what is begun together is at most ten reads"
        if results[-1].finished:
            break
    assert not results[0].finished
    assert results[-1].finished
    assert len(yard.lanes.sent) == 120
    assert max(Counter(yard.lanes.history).values()) == 1


def test_sweeps_get_their_turn_however_much_is_overdue(yard: Yard) -> None:
    yard.reconcile()
    yard.task("queued")
    for number in range(200):
        yard.task(f"due{number:03d}", due_at_ms=yard.clock.now_ms() + 1000)
    yard.clock.advance(1000)
    reconciler = yard.reconciler()
    reconciler._log = Slow(yard.log, yard)
    result = run(reconciler.run(yard.clock.now_ms() + 60_000))
    assert not result.finished
    assert "queued-0" in yard.lanes.sent


@pytest.mark.parametrize("age_minutes", [0, 9, 30, 59, 70, 200, 300])
@pytest.mark.parametrize(("kind", "bound_minutes"), [(Kind.PARKED, 3), (Kind.STARTED, 24 * 60)])
def test_whenever_a_message_is_lost_it_is_sent_again(
    yard: Yard, kind: Kind, bound_minutes: int, age_minutes: int
) -> None:
    """What waits for its time is on the list; attempts under way, which have their message still, are swept."""
    yard.reconcile()
    at_ms = yard.clock.now_ms() + age_minutes * 60_000
    body = {"lease_until_ms": at_ms + 10_000, "next_attempt_ms": at_ms + 10_000}
    events = yard.events("lost", [(age_minutes * 60, kind, body)])
    run(yard.log.append(events[0]))
    yard.project(events[:1])
    yard.depths.depths["standard"] = 10 * BUSY_MESSAGES  # until then its lane is behind
    yard.minutes(age_minutes)
    yard.depths.depths.clear()
    yard.lanes.history.clear()
    run(yard.log.append(events[1]))
    yard.project(events)
    sent = yard.minutes(25 * 60, every=1 if kind is Kind.PARKED else 15)
    assert 0 < sent[0][0] <= bound_minutes
