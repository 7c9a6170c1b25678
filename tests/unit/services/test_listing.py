"""A list says what the logs say, is complete and stable over its pages, and bounded in what it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.events import Event, Kind, fold
from flotilla.models import Status
from flotilla.primitives.retention import DAY_MS
from flotilla.read_model import EntryFilter
from flotilla.services.listing import ListService, fits
from tests.histories import logs
from tests.logs import START_MS, LogBuilder, log_of
from tests.unit.services.fleet import run
from tests.unit.services.projecting import RETENTION_DAYS, Followed


def listing(followed: Followed) -> ListService:
    return ListService(views=followed.views, log=followed.log, past=followed.past)


def all_pages(
    followed: Followed, wanted: EntryFilter, limit: int = 3, between: Callable[[], None] = lambda: None
) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    for _ in range(1000):
        tasks, cursor = run(listing(followed).list(wanted.tenant, wanted, limit, cursor))
        assert len(tasks) <= limit
        assert all(fits(task, wanted) for task in tasks)
        found += [task.task_id for task in tasks]
        if cursor is None:
            return found
        between()
    raise AssertionError("the list does not end")


def of(number: int, *kinds: Kind, **accepted: Any) -> list[Event]:
    """A log of a task that is as old as its number says."""
    builder = LogBuilder(f"tsk_{number:03d}")
    builder.events = []
    builder.add(Kind.ACCEPTED, **accepted)
    for kind in kinds:
        builder.add(kind, attempt=1)
    return builder.events


def a_fleet(*histories: list[Event]) -> Followed:
    followed = Followed()
    run(followed.follow(*histories))
    return followed


@given(
    st.lists(logs(max_events=6), max_size=12),
    st.builds(
        EntryFilter,
        st.sampled_from(["acme", "other"]),
        status=st.none() | st.sampled_from(Status),
        agent=st.none() | st.just("sample.echo"),
        lane=st.none() | st.just("batch"),
        session=st.none() | st.just("s1"),
    ),
    st.integers(1, 5),
)
def test_a_list_holds_exactly_what_fits(histories: list[list[Event]], wanted: EntryFilter, limit: int) -> None:
    renamed = []
    for number, history in enumerate(histories):
        builder = LogBuilder(f"tsk_{number:02d}")
        for event in history:
            builder.add(event.kind, attempt=event.attempt, **event.body)
        renamed.append(builder.events)
    followed = a_fleet(*renamed)
    states = [fold(log) for log in renamed]
    expected = sorted((state.task_id for state in states if fits(state, wanted)), reverse=True)
    assert all_pages(followed, wanted, limit) == expected


def test_what_is_running_is_found_though_no_entry_says_so() -> None:
    followed = a_fleet(of(1, Kind.STARTED), of(2), of(3, Kind.ATTEMPT_FAILED, Kind.STARTED), of(4, Kind.PARKED))
    assert all_pages(followed, EntryFilter("acme", status=Status.RUNNING)) == ["tsk_003", "tsk_001"]
    assert all_pages(followed, EntryFilter("acme", status=Status.QUEUED)) == ["tsk_002"]
    assert all_pages(followed, EntryFilter("acme", status=Status.RETRYING)) == []


def test_what_is_running_is_found_behind_many_that_wait() -> None:
    waiting = [of(number) for number in range(1, 400)]
    followed = a_fleet(of(0, Kind.STARTED), *waiting)
    followed.log.reads = 0
    tasks, cursor = run(listing(followed).list("acme", EntryFilter("acme", status=Status.RUNNING), 20, None))
    assert tasks == []
    assert cursor is not None
    assert followed.log.reads == 200, "and no more logs are read than that"
    assert all_pages(followed, EntryFilter("acme", status=Status.RUNNING)) == ["tsk_000"]


def test_a_read_model_that_is_behind_tells_nothing_that_is_not_so() -> None:
    behind = of(1)
    followed = a_fleet(behind, of(2))
    followed.write(of(1, Kind.STARTED, Kind.SUCCEEDED)[1:])
    assert all_pages(followed, EntryFilter("acme", status=Status.QUEUED)) == ["tsk_002"]
    tasks, _ = run(listing(followed).list("acme", EntryFilter("acme"), 5, None))
    assert [(task.task_id, task.status.value) for task in tasks] == [("tsk_002", "queued"), ("tsk_001", "succeeded")]


def test_tasks_that_no_longer_fit_make_no_page_short() -> None:
    followed = a_fleet(*(of(number) for number in range(20)))
    for number in range(10, 20):
        followed.write(of(number, Kind.CANCELLED)[1:])
    tasks, cursor = run(listing(followed).list("acme", EntryFilter("acme", status=Status.QUEUED), 5, None))
    assert [task.task_id for task in tasks] == ["tsk_009", "tsk_008", "tsk_007", "tsk_006", "tsk_005"]
    assert cursor is not None


def test_a_page_reads_no_more_logs_than_it_shows() -> None:
    followed = a_fleet(*(of(number) for number in range(30)))
    followed.log.reads = 0
    run(listing(followed).list("acme", EntryFilter("acme"), 7, None))
    assert followed.log.reads == 7


def test_what_happens_between_pages_makes_nothing_come_twice_or_not_at_all() -> None:
    followed = a_fleet(*(of(number) for number in range(20)))
    new = iter(range(100, 200))
    ending = iter(range(5, 20, 5))

    def meanwhile() -> None:
        run(followed.follow(of(next(new)), of(next(ending, 4), Kind.STARTED, Kind.SUCCEEDED)))

    found = all_pages(followed, EntryFilter("acme"), 4, meanwhile)
    assert found == [f"tsk_{number:03d}" for number in reversed(range(20))]


def test_a_tenant_is_listed_nobody_elses_tasks_whatever_the_filter_says() -> None:
    followed = a_fleet(of(1), of(2, tenant="other"))
    tasks, _ = run(listing(followed).list("acme", EntryFilter("other"), 5, None))
    assert [task.tenant for task in tasks] == ["acme"]


@pytest.mark.parametrize("limit", [1, 2])
def test_another_tenants_cursor_is_refused(limit: int) -> None:
    followed = a_fleet(of(1), of(2), of(3), of(4, tenant="other"), of(5, tenant="other"))
    _, cursor = run(listing(followed).list("acme", EntryFilter("acme"), limit, None))
    with pytest.raises(ValueError, match="cursor"):
        run(listing(followed).list("other", EntryFilter("other"), limit, cursor))
    with pytest.raises(ValueError, match="cursor"):
        run(listing(followed).list("acme", EntryFilter("acme"), limit, "garbage"))


def test_what_the_table_has_dropped_is_listed_from_the_archive() -> None:
    followed = a_fleet(of(1, Kind.STARTED, Kind.SUCCEEDED), of(2, Kind.STARTED, Kind.DEAD_LETTERED))
    followed.clock.advance((RETENTION_DAYS + 20) * 86_400)
    followed.log.logs.clear()
    assert all_pages(followed, EntryFilter("acme")) == ["tsk_002", "tsk_001"]
    assert all_pages(followed, EntryFilter("acme", status=Status.DEAD_LETTERED)) == ["tsk_002"]
    followed.archive.objects.clear()
    assert all_pages(followed, EntryFilter("acme")) == []


def test_one_corrupt_log_does_not_hide_the_others() -> None:
    followed = a_fleet(of(1), of(2, Kind.STARTED), of(3))
    followed.log.logs["tsk_002"][1] = log_of(Kind.STARTED)[1]
    assert all_pages(followed, EntryFilter("acme")) == ["tsk_003", "tsk_001"]


def test_times_bound_a_list() -> None:
    followed = a_fleet(*(of(number) for number in range(3)))
    assert all_pages(followed, EntryFilter("acme", created_after_ms=START_MS)) == ["tsk_002", "tsk_001", "tsk_000"]
    assert all_pages(followed, EntryFilter("acme", created_after_ms=START_MS + DAY_MS)) == []
    assert all_pages(followed, EntryFilter("acme", created_before_ms=START_MS)) == []
