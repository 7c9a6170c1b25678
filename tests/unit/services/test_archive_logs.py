"""Logs into objects: a key is made of what lies at it, and no object grows without bound."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind
from flotilla.events.archive_file import line_of, logs_in
from flotilla.primitives.usage_hour import HOUR_MS
from flotilla.services.archive_logs import LogArchiver, archive_key
from tests.fakes.archive import MemoryArchive
from tests.logs import LogBuilder, log_of
from tests.unit.services.fleet import run


def ended(number: int) -> list[Event]:
    return log_of(Kind.STARTED, Kind.SUCCEEDED, task_id=f"tsk_{number}")


def size_of(log: Sequence[Event]) -> int:
    return sum(len(line_of(event).encode()) + 1 for event in log)


def test_logs_that_come_together_are_one_object() -> None:
    archive = MemoryArchive()
    keys = run(LogArchiver(archive).archive([ended(number) for number in range(9)]))
    assert len(set(keys.values())) == len(archive.objects) == 1
    assert {run(archive.get(key, task_id))[0].task_id for task_id, key in keys.items()} == keys.keys()


def test_nothing_to_archive_is_no_object() -> None:
    archive = MemoryArchive()
    assert run(LogArchiver(archive).archive([])) == {}
    assert archive.puts == 0


def test_no_object_grows_beyond_its_bound_but_for_a_log_that_does() -> None:
    logs = [ended(number) for number in range(10)]
    builder = LogBuilder("tsk_5long")
    builder.add(Kind.ACCEPTED, note="x" * 10_000)
    builder.add(Kind.CANCELLED)
    archive = MemoryArchive()
    archiver = LogArchiver(archive, max_object_bytes=3 * size_of(logs[0]))
    keys = run(archiver.archive([*logs, builder.events]))
    assert len(keys) == 11
    sizes: dict[str, int] = {}
    for log in [*logs, builder.events]:
        key = keys[log[0].task_id]
        assert run(archive.get(key, log[0].task_id)) == log
        sizes[key] = sizes.get(key, 0) + size_of(log)
    large = keys["tsk_5long"]
    assert all(size <= 3 * size_of(logs[0]) for key, size in sizes.items() if key != large)
    assert list(keys.values()).count(large) == 1


def test_the_same_logs_have_the_same_key_in_any_order_and_others_another() -> None:
    one, other, third = ended(1), ended(2), ended(3)
    assert archive_key([one, other]) == archive_key([other, one])
    keys = {archive_key(logs) for logs in ([one], [one, other], [one, third], [one[:2]], [one, other, third])}
    assert len(keys) == 5


def test_a_key_says_the_hour_in_which_the_last_of_them_ended() -> None:
    # 1 700 000 000 200 ms after the epoch is 14 November 2023, 22:13 UTC.
    assert archive_key([ended(1)]).startswith("archive/2023/11/14/22/")
    assert archive_key([ended(1)]).endswith(".jsonl.gz")


@pytest.mark.parametrize("lost", ["the call", "its answer"])
def test_what_is_not_surely_archived_is_not_said_to_be(lost: str) -> None:
    class Silent(MemoryArchive):
        async def put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
            if lost == "its answer":
                await super().put(key, logs)
            raise RetryableError("no answer")

    assert run(LogArchiver(Silent()).archive([ended(1)])) == {}


def test_an_object_that_fails_takes_no_other_with_it() -> None:
    class Choosy(MemoryArchive):
        async def put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
            if logs[0][0].task_id == "tsk_1":
                raise RetryableError("no answer")
            await super().put(key, logs)

    archiver = LogArchiver(Choosy(), max_object_bytes=1)
    assert run(archiver.archive([ended(1), ended(2)])).keys() == {"tsk_2"}


def redriven(*, died_ms: int, ended_ms: int) -> list[Event]:
    builder = LogBuilder("tsk_redriven")
    builder.add(Kind.ACCEPTED, at_ms=died_ms)
    builder.add(Kind.DEAD_LETTERED, at_ms=died_ms)
    builder.add(Kind.REDRIVEN, at_ms=ended_ms)
    builder.add(Kind.SUCCEEDED, at_ms=ended_ms)
    return builder.events


def test_logs_that_ended_in_different_hours_are_different_objects() -> None:
    archive = MemoryArchive()
    logs = [redriven(died_ms=at_ms, ended_ms=at_ms) for at_ms in (HOUR_MS - 1, HOUR_MS)]
    logs[1][0:] = log_of(Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_other")
    keys = run(LogArchiver(archive).archive(logs))
    assert len(set(keys.values())) == len(archive.objects) == 2


def test_every_end_of_a_task_is_in_the_hour_of_that_end() -> None:
    archive = MemoryArchive()
    log = redriven(died_ms=HOUR_MS - 1, ended_ms=5 * HOUR_MS)
    keys = run(LogArchiver(archive).archive([log]))
    held = {key[:21]: logs_in(content) for key, content in archive.objects.items()}
    assert held == {
        "archive/1970/01/01/00": {"tsk_redriven": log[:2]},
        "archive/1970/01/01/05": {"tsk_redriven": log},
    }
    assert keys["tsk_redriven"].startswith("archive/1970/01/01/05/")


def test_ends_within_one_hour_need_no_log_of_their_own() -> None:
    archive = MemoryArchive()
    run(LogArchiver(archive).archive([redriven(died_ms=HOUR_MS, ended_ms=HOUR_MS + 1)]))
    assert len(archive.objects) == 1


def test_a_log_of_which_an_earlier_end_is_not_archived_is_not_said_to_be() -> None:
    class LosesFirstHour(MemoryArchive):
        async def put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
            if key.startswith("archive/1970/01/01/00"):
                raise RetryableError("the archive did not answer")
            await super().put(key, logs)

    assert run(LogArchiver(LosesFirstHour()).archive([redriven(died_ms=0, ended_ms=HOUR_MS)])) == {}
