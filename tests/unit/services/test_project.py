"""The read model is what the log says, however its records come; a task without trouble costs two writes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.events import Event, Kind, fold
from flotilla.models import Status
from flotilla.primitives.cause import cause_of
from flotilla.primitives.retention import DAY_MS
from flotilla.read_model import Entry
from flotilla.services.project import entry_of, entry_of_log, settled
from tests.histories import logs
from tests.logs import ERROR, START_MS, LogBuilder, log_of
from tests.unit.services.fleet import run
from tests.unit.services.projecting import Followed, Weather

TASKS = st.integers(1, 4).flatmap(lambda count: st.tuples(*(logs(f"tsk_{number}") for number in range(count))))


def without_archive(entry: Entry) -> Entry:
    return replace(entry, archive_key=None)


def cut(events: list[Event], dice: random.Random) -> list[list[Event]]:
    """The events in batches of any size."""
    batches = []
    while events:
        size = dice.randint(1, 6)
        batches.append(events[:size])
        events = events[size:]
    return batches


async def check(followed: Followed, histories: tuple[list[Event], ...]) -> None:
    """Every entry is what its log says; what has ended is archived, whole."""
    for log in histories:
        entry = followed.views.entries[log[0].task_id]
        assert without_archive(entry) == entry_of_log(log)
        if entry.status.terminal:
            assert entry.archive_key is not None
            assert await followed.archive.get(entry.archive_key, entry.task_id) == log


@given(TASKS, st.randoms(use_true_random=False), st.floats(0, 1))
def test_entries_are_what_the_logs_say_for_any_duplicate_and_disorder(
    histories: tuple[list[Event], ...], dice: random.Random, repeated: float
) -> None:
    followed = Followed()
    records = [event for log in histories for event in log]
    records += [event for event in records if dice.random() < repeated]
    dice.shuffle(records)

    async def scene() -> None:
        followed.write(records)
        for batch in cut(records, dice):
            if dice.random() < 0.2:
                followed.restart()
            before = dict(followed.views.entries)
            assert await followed.projector.project(batch) == frozenset()
            for task_id, entry in before.items():
                assert followed.views.entries[task_id].head_seq >= entry.head_seq, "never set back"
        await check(followed, histories)

    run(scene())


@given(TASKS, st.randoms(use_true_random=False))
def test_so_they_are_while_the_logs_are_still_being_written(
    histories: tuple[list[Event], ...], dice: random.Random
) -> None:
    """The stream is behind the log by any number of events, and in order for each task."""
    followed = Followed()
    waiting = {log[0].task_id: list(log) for log in histories}
    written: dict[str, list[Event]] = {task_id: [] for task_id in waiting}

    async def scene() -> None:
        while any(waiting.values()) or any(written.values()):
            task_id = dice.choice([each for each in waiting if waiting[each] or written[each]])
            if waiting[task_id] and dice.random() < 0.6:
                event = waiting[task_id].pop(0)
                followed.write([event])
                written[task_id].append(event)
            elif written[task_id]:
                size = dice.randint(1, len(written[task_id]))
                batch, written[task_id] = written[task_id][:size], written[task_id][size:]
                assert await followed.projector.project(batch) == frozenset()
        await check(followed, histories)

    run(scene())


@given(TASKS, st.randoms(use_true_random=False), st.integers(1, 60))
def test_so_they_are_when_stores_fail_and_what_failed_comes_again(
    histories: tuple[list[Event], ...], dice: random.Random, percent: int
) -> None:
    followed = Followed()
    followed.weather.dice = dice
    records = [event for log in histories for event in log]

    async def scene() -> None:
        followed.write(records)
        for batch in cut(records, dice):
            followed.weather.percent = percent
            again = batch
            for _ in range(100):
                failed = await followed.projector.project(again)
                if not failed:
                    break
                # Lambda begins again with the first record that failed.
                first = min(number for number, event in enumerate(again) if event.task_id in failed)
                again = again[first:]
            followed.weather.percent = 0
            assert not failed or not await followed.projector.project(again)
        for log in histories:
            entry = followed.views.entries[log[0].task_id]
            assert without_archive(entry) == entry_of_log(log)
            if entry.archive_key is not None:
                assert await followed.archive.get(entry.archive_key, entry.task_id) == log

    run(scene())


@pytest.mark.parametrize(
    ("batches", "puts", "reads"),
    [
        ([3], 1, 0),
        ([2, 1], 2, 1),
        ([1, 2], 2, 1),
        ([1, 1, 1], 2, 1),
        ([0, 1, 1, 1], 2, 1),
    ],
)
def test_a_task_without_trouble_costs_two_writes_at_most(batches: list[int], puts: int, reads: int) -> None:
    log = log_of(Kind.STARTED, Kind.SUCCEEDED)
    followed = Followed()
    cut_up = [[log.pop(0) for _ in range(size)] for size in batches]
    run(followed.follow(*cut_up))
    assert (followed.views.puts, followed.log.reads, followed.archive.puts) == (puts, reads, 1)


def test_steps_and_time_cost_nothing_more() -> None:
    log = log_of(Kind.STARTED, *[Kind.STEP_RECORDED] * 20, Kind.SUCCEEDED)
    followed = Followed()
    run(followed.follow(*([event] for event in log)))
    assert (followed.views.puts, followed.log.reads) == (2, 1)
    assert followed.views.entries["tsk_sample"].head_seq == 22


def test_only_the_last_state_of_a_batch_is_written() -> None:
    log = log_of(Kind.STARTED, Kind.ATTEMPT_FAILED, Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, Kind.STARTED)
    followed = Followed()
    run(followed.follow(log))
    assert (followed.views.puts, followed.log.reads) == (1, 0)
    assert followed.views.entries["tsk_sample"].status is Status.QUEUED


def test_a_log_that_was_read_ahead_of_the_stream_is_not_written_again() -> None:
    log = log_of(Kind.STARTED, Kind.ATTEMPT_FAILED, Kind.STARTED, Kind.SUCCEEDED)
    followed = Followed()

    async def scene() -> None:
        followed.write(log)
        for event in log[1:]:
            await followed.projector.project([event])

    run(scene())
    assert (followed.views.puts, followed.log.reads, followed.archive.puts) == (1, 1, 1)


def test_a_batch_done_again_writes_nothing_but_what_is_missing() -> None:
    log = log_of(Kind.STARTED, Kind.SUCCEEDED)
    followed = Followed()
    run(followed.follow(log, log))
    assert (followed.views.puts, followed.archive.puts) == (1, 1)
    followed.restart()
    before = dict(followed.views.entries)
    run(followed.follow(log))
    assert followed.views.entries == before
    assert len(followed.archive.objects) == 1


def test_a_log_that_retention_has_begun_to_drop_is_let_be() -> None:
    log = log_of(Kind.STARTED, Kind.SUCCEEDED)
    followed = Followed()
    followed.write(log[1:])
    assert run(followed.projector.project(log[1:])) == frozenset()
    assert followed.views.entries == {}


def test_a_corrupt_log_is_passed_over_and_holds_up_nobody() -> None:
    corrupt, fine = log_of(Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_a"), log_of(task_id="tsk_b")
    corrupt[2] = replace(corrupt[2], prev_hash="0" * 64)
    followed = Followed()
    assert run(followed.follow([*corrupt, *fine])) == [frozenset()]
    assert set(followed.views.entries) == {"tsk_b"}


def test_a_fault_of_our_own_is_tried_again_a_few_times_and_then_holds_up_nobody() -> None:
    builder = LogBuilder("tsk_a")
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.PARKED, next_attempt_ms="soon")  # no version of this code can work on that
    followed = Followed()
    fine = log_of(task_id="tsk_b")
    answers = run(followed.follow(*[[*builder.events, *fine]] * 4))
    assert answers == [frozenset({"tsk_a"})] * 3 + [frozenset()]
    assert set(followed.views.entries) == {"tsk_b"}


def test_finished_logs_of_a_batch_are_one_object_which_is_there_before_anything_says_so() -> None:
    ended = [log_of(Kind.STARTED, Kind.SUCCEEDED, task_id=f"tsk_{number}") for number in range(5)]
    living = log_of(Kind.STARTED, Kind.PARKED, task_id="tsk_9")
    followed = Followed()
    run(followed.follow([event for log in [*ended, living] for event in log]))
    keys = {followed.views.entries[log[0].task_id].archive_key for log in ended}
    assert keys == followed.archive.objects.keys()
    assert len(keys) == 1
    assert followed.views.entries["tsk_9"].archive_key is None


def test_an_outage_of_the_archive_does_not_hold_up_the_read_model() -> None:
    log = log_of(Kind.STARTED, Kind.SUCCEEDED)
    followed = Followed()
    followed.archive.weather = Weather(percent=100)
    assert run(followed.follow(log)) == [frozenset()]
    assert followed.views.entries["tsk_sample"] == entry_of_log(log), "succeeded, and not said to be archived"


def test_a_task_that_ends_again_is_archived_again() -> None:
    log = log_of(Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, Kind.STARTED, Kind.SUCCEEDED)
    followed = Followed()

    async def scene() -> None:
        await followed.follow(log[:3])
        first = followed.views.entries["tsk_sample"].archive_key
        await followed.follow(log[3:4])
        assert followed.views.entries["tsk_sample"].archive_key is None
        await followed.follow(log[4:])
        second = followed.views.entries["tsk_sample"].archive_key
        assert first and second and first != second
        assert await followed.archive.get(first, "tsk_sample") == log[:3]
        assert await followed.archive.get(second, "tsk_sample") == log

    run(scene())


@pytest.mark.parametrize(("days", "remembered"), [(1, False), (34, False), (35, True), (200, True)])
def test_a_task_that_goes_on_late_in_life_is_made_known_to_the_keeper(days: int, remembered: bool) -> None:
    builder = LogBuilder()
    for kind in (Kind.ACCEPTED, Kind.STARTED, Kind.DEAD_LETTERED):
        builder.add(kind)
    builder.add(Kind.REDRIVEN, at_ms=START_MS + days * DAY_MS)
    followed = Followed()
    run(followed.follow(builder.events))
    assert (set(followed.ledger.kept) == {"tsk_sample"}) is remembered


def test_what_is_under_way_is_not_followed() -> None:
    log = log_of(Kind.STARTED, Kind.ATTEMPT_FAILED, Kind.STARTED, Kind.STEP_RECORDED)
    assert settled(log) == log[:3]
    assert settled(log[:2]) == log[:1]
    assert settled(log[:1]) == log[:1]
    assert settled([]) == []


def test_an_entry_says_what_its_task_is() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, session="s", due_at_ms=START_MS + 5)
    entry = entry_of_log(builder.events)
    assert (entry.status, entry.next_at_ms, entry.session) == (Status.SCHEDULED, START_MS + 5, "s")
    builder.add(Kind.STARTED, attempt=1)
    assert entry_of_log(builder.events) == entry
    builder.add(Kind.PARKED, attempt=1)
    entry = entry_of_log(builder.events)
    assert (entry.status, entry.next_at_ms, entry.attempt) == (Status.PARKED, START_MS + 30_000, 1)
    assert (entry.head_seq, entry.head_hash) == (2, builder.events[2].hash)
    assert entry.look_at_ms is not None
    builder.add(Kind.CANCELLED)
    entry = entry_of_log(builder.events)
    assert (entry.next_at_ms, entry.look_at_ms, entry.finished_at_ms) == (None, None, START_MS + 300)


def test_a_dead_letter_says_why_and_no_more_than_fits() -> None:
    entry = entry_of_log(log_of(Kind.STARTED, Kind.DEAD_LETTERED))
    assert entry.cause == cause_of("sample.echo", "busy", "the other side is busy")
    assert entry.message == "the other side is busy"
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.DEAD_LETTERED, error=ERROR | {"message": "é" * 1000})
    message = entry_of_log(builder.events).message
    assert message is not None
    assert (len(message), message[-1]) == (400, "…")


def test_a_dead_letter_without_an_error_has_a_cause_too() -> None:
    state = replace(fold(log_of(Kind.STARTED, Kind.DEAD_LETTERED)), error=None)
    entry = entry_of(state)
    assert entry.cause is not None
    assert entry.cause.text == "unknown"


@given(logs())
def test_an_entry_of_what_has_not_died_has_no_cause(log: list[Event]) -> None:
    entry = entry_of_log(log)
    assert (entry.cause is not None) == (entry.status is Status.DEAD_LETTERED)
    assert (entry.finished_at_ms is not None) == entry.status.terminal


def test_what_waits_for_a_signal_is_looked_after_when_its_time_is_over() -> None:
    builder = LogBuilder()
    for kind in (Kind.ACCEPTED, Kind.STARTED):
        builder.add(kind, attempt=1)
    builder.add(Kind.WAITING, attempt=1, until_ms=START_MS + 60_000)
    entry = entry_of_log(builder.events)
    assert (entry.status, entry.next_at_ms, entry.look_at_ms) == (
        Status.WAITING,
        START_MS + 60_000,
        START_MS + 180_000,
    )
    builder.add(Kind.SIGNALLED, attempt=1)
    entry = entry_of_log(builder.events)
    assert (entry.status, entry.next_at_ms, entry.look_at_ms) == (Status.QUEUED, None, START_MS + 600_300)
