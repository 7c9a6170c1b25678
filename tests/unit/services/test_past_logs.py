"""A task is found in the archive when the table has nothing of its log any more, or not all of it."""

from __future__ import annotations

import pytest

from flotilla.events import Event, Kind
from flotilla.primitives.retention import DAY_MS
from flotilla.services.read import ReadService
from tests.logs import START_MS, log_of
from tests.unit.services.fleet import run
from tests.unit.services.projecting import RETENTION_DAYS, Followed

OLD_DAYS = RETENTION_DAYS + 15


@pytest.fixture
def followed() -> Followed:
    followed = Followed()
    run(followed.follow(log_of(Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_1")))
    return followed


def reading(followed: Followed) -> ReadService:
    return ReadService(log=followed.log, clock=followed.clock, past=followed.past)


def events(followed: Followed, tenant: str = "acme", **more: int) -> list[Event] | None:
    found: list[Event] | None = run(reading(followed).events(tenant, "tsk_1", **more))
    return found


def drop(followed: Followed, *seqs: int) -> list[Event]:
    log = followed.log.logs["tsk_1"]
    whole = [event for _, event in sorted(log.items())]
    for seq in seqs:
        del log[seq]
    return whole


@pytest.mark.parametrize("seqs", [(0, 1, 2), (0,), (0, 1), (0, 2), (1,), (2,), (1, 2)])
def test_whatever_was_dropped_the_whole_log_is_read(followed: Followed, seqs: tuple[int, ...]) -> None:
    followed.clock.advance(OLD_DAYS * 86_400)
    whole = drop(followed, *seqs)
    assert events(followed) == whole
    assert events(followed, created_at_ms=START_MS) == whole
    assert events(followed, tenant="other") is None
    assert events(followed, tenant="other", created_at_ms=START_MS) is None
    state = run(reading(followed).task("acme", "tsk_1"))
    assert state.status == "succeeded"


def test_a_young_task_costs_nothing_but_its_log(followed: Followed) -> None:
    puts = followed.views.puts
    followed.views.weather.percent = 0
    followed.log.reads = 0
    assert events(followed) is not None
    assert followed.log.reads == 1
    followed.archive.objects.clear()
    followed.views.entries.clear()
    assert events(followed) is not None, "nobody was asked"
    assert followed.views.puts == puts


def test_a_task_that_never_was_is_none(followed: Followed) -> None:
    followed.clock.advance(OLD_DAYS * 86_400)
    assert run(reading(followed).task("acme", "tsk_none")) is None
    assert run(reading(followed).task("acme", "tsk_none", 5)) is None


def test_what_is_still_there_is_believed_where_nothing_else_is_known(followed: Followed) -> None:
    followed.clock.advance(OLD_DAYS * 86_400)
    followed.views.entries.clear()
    assert len(events(followed) or []) == 3
    drop(followed, 0)
    assert events(followed) is None, "a log without a beginning is none"


def test_what_the_archive_has_forgotten_is_gone(followed: Followed) -> None:
    followed.clock.advance(OLD_DAYS * 86_400)
    drop(followed, 0, 1, 2)
    followed.archive.objects.clear()
    assert events(followed) is None


def test_an_old_task_that_goes_on_is_read_from_the_table(followed: Followed) -> None:
    log = log_of(Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, Kind.STARTED, task_id="tsk_2")
    run(followed.follow(log[:3]))
    followed.clock.advance(OLD_DAYS * 86_400)
    followed.write(log[3:])  # and the read model has not heard of it yet
    found = run(reading(followed).events("acme", "tsk_2"))
    assert found == log


def test_of_a_task_that_ended_again_the_newer_archive_counts(followed: Followed) -> None:
    log = log_of(Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_2")
    run(followed.follow(log[:3], log[3:]))
    followed.clock.advance(OLD_DAYS * 86_400)
    followed.log.logs.clear()
    assert run(reading(followed).events("acme", "tsk_2")) == log


def test_a_task_is_young_by_when_it_was_created(followed: Followed) -> None:
    """One day before its first event may be dropped the table alone is asked."""
    followed.clock.advance((RETENTION_DAYS + 13) * 86_400)
    followed.views.entries.clear()
    assert followed.clock.now_ms() < START_MS + (RETENTION_DAYS + 14) * DAY_MS
    assert len(events(followed) or []) == 3
