"""The contract of `ReadModel`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from flotilla.models import Status
from flotilla.ports import ReadModel
from flotilla.primitives.cause import cause_of, unreadable_cause
from flotilla.read_model import (
    UNREADABLE,
    DeadFilter,
    Entry,
    EntryFilter,
    EntryPage,
    RunFilter,
    RunsFilter,
    Spent,
    UnreadableMessage,
)

NOW_MS = 1_700_000_000_000

QUEUED = Entry(
    task_id="tsk_1",
    tenant="acme",
    agent="sample.echo",
    lane="standard",
    session=None,
    status=Status.QUEUED,
    attempt=0,
    created_at_ms=NOW_MS,
    head_seq=0,
    head_at_ms=NOW_MS,
    head_hash="ab" * 32,
)

SUCCEEDED = replace(
    QUEUED, status=Status.SUCCEEDED, attempt=1, head_seq=2, head_at_ms=NOW_MS + 900, finished_at_ms=NOW_MS + 900
)

PARKED = replace(
    QUEUED,
    status=Status.PARKED,
    attempt=1,
    head_seq=2,
    head_at_ms=NOW_MS + 5,
    next_at_ms=NOW_MS + 60_000,
    look_at_ms=NOW_MS + 180_000,
)

DEAD = replace(
    SUCCEEDED,
    status=Status.DEAD_LETTERED,
    cause=cause_of("sample.echo", "busy", "the other side is busy: 503"),
    message="the other side is busy: 503",
)

RUN = "wfl_" + "a" * 32

STEP = replace(QUEUED, run=RUN, step="Extract")

RUN_ENTRY = replace(QUEUED, task_id=RUN, agent="workflow:approval", is_run=True)

MESSAGE = UnreadableMessage("m1", "standard", '{"größe"', "not a task message: ValueError", NOW_MS)


def dead(task_id: str, at_ms: int, **changes: Any) -> Entry:
    return replace(DEAD, task_id=task_id, head_at_ms=at_ms, finished_at_ms=at_ms, **changes)


def put(views: ReadModel, *entries: Entry) -> list[bool]:
    async def put_all() -> list[bool]:
        return [await views.put(entry) for entry in entries]

    return asyncio.run(put_all())


def get(views: ReadModel, entry: Entry = QUEUED) -> Entry | None:
    return asyncio.run(views.get(entry.tenant, entry.task_id, entry.created_at_ms))


def pages(
    list_page: Callable[[str | None], EntryPage], between: Callable[[int], None] = lambda _: None
) -> list[Entry | UnreadableMessage]:
    """All pages of a list, one after the other; `between` is called after each with its number."""
    found: list[Entry | UnreadableMessage] = []
    cursor: str | None = None
    for number in range(1000):
        page = list_page(cursor)
        found += page.items
        if page.next_cursor is None:
            return found
        assert page.next_cursor != cursor
        cursor = page.next_cursor
        between(number)
    raise AssertionError("the list does not end")


def listed(views: ReadModel, wanted: EntryFilter, limit: int = 7) -> list[str]:
    def list_page(cursor: str | None) -> EntryPage:
        page = asyncio.run(views.list(wanted, limit=limit, cursor=cursor))
        assert len(page.items) <= limit
        return page

    return ids(pages(list_page))


def dead_letters(views: ReadModel, wanted: DeadFilter = DeadFilter(), limit: int = 3) -> list[str]:  # noqa: B008
    def list_page(cursor: str | None) -> EntryPage:
        page = asyncio.run(views.dead(wanted, limit=limit, cursor=cursor))
        assert len(page.items) <= limit
        return page

    return ids(pages(list_page))


def of_run(views: ReadModel, wanted: RunFilter, limit: int = 7) -> list[str]:
    def list_page(cursor: str | None) -> EntryPage:
        page = asyncio.run(views.tasks_of_run(wanted, limit=limit, cursor=cursor))
        assert len(page.items) <= limit
        return page

    return ids(pages(list_page))


def runs(views: ReadModel, wanted: RunsFilter, limit: int = 7) -> list[str]:
    def list_page(cursor: str | None) -> EntryPage:
        page = asyncio.run(views.runs(wanted, limit=limit, cursor=cursor))
        assert len(page.items) <= limit
        return page

    return ids(pages(list_page))


def ids(found: Sequence[Entry | UnreadableMessage]) -> list[str]:
    return [each.task_id if isinstance(each, Entry) else each.message_id for each in found]


def many(count: int, **changes: Any) -> list[Entry]:
    """Entries, the newest first, some of them of the same moment."""
    return [
        replace(QUEUED, task_id=f"tsk_{number:03d}", created_at_ms=NOW_MS + 1000 * (number // 2), **changes)
        for number in reversed(range(count))
    ]


class ReadModelContract:
    """Provide a fixture `views`: an empty read model."""

    @pytest.mark.parametrize(
        "entry",
        [
            QUEUED,
            replace(QUEUED, session="größe # s", tenant="a#b#1", agent="a.b"),
            SUCCEEDED,
            replace(SUCCEEDED, archive_key="archive/2026/01/01/00/k.jsonl.gz"),
            PARKED,
            replace(PARKED, status=Status.SCHEDULED, attempt=0, head_seq=0),
            replace(PARKED, status=Status.RETRYING),
            replace(PARKED, status=Status.WAITING, next_at_ms=None, look_at_ms=None),
            DEAD,
            replace(SUCCEEDED, status=Status.CANCELLED),
            replace(SUCCEEDED, status=Status.EXPIRED),
            replace(QUEUED, look_at_ms=NOW_MS + 5),
            replace(QUEUED, status=Status.RUNNING, attempt=1, head_seq=1),
            replace(STEP, tenant="step"),
            replace(SUCCEEDED, tenant="step#1", run=RUN, step="größe", spent=Spent(3, 1200, 88, 7_000_001)),
            replace(RUN_ENTRY, tenant="run"),
            replace(DEAD, tenant="run#1", agent="workflow:approval", is_run=True, look_at_ms=NOW_MS + 60_000),
        ],
        ids=lambda entry: f"{entry.status} {entry.tenant} {entry.archive_key} {entry.look_at_ms}",
    )
    def test_an_entry_comes_back_as_it_was(self, views: ReadModel, entry: Entry) -> None:
        assert put(views, entry) == [True]
        assert get(views, entry) == entry
        wanted = EntryFilter(entry.tenant, status=entry.status)
        assert asyncio.run(views.list(wanted, limit=5, cursor=None)) == EntryPage([entry], None)

    def test_there_is_nothing_where_nothing_was_put(self, views: ReadModel) -> None:
        put(views, QUEUED)
        assert get(views, replace(QUEUED, task_id="tsk_2")) is None
        assert get(views, replace(QUEUED, tenant="other")) is None
        assert get(views, replace(QUEUED, created_at_ms=NOW_MS + 1)) is None
        assert listed(views, EntryFilter("nobody")) == []

    def test_a_later_head_replaces_an_earlier_one_and_never_the_other_way(self, views: ReadModel) -> None:
        assert put(views, PARKED, QUEUED, SUCCEEDED, PARKED) == [True, False, False, False]
        assert get(views) == PARKED
        later = replace(SUCCEEDED, head_seq=11)
        assert put(views, later, PARKED, replace(later, head_seq=9)) == [True, False, False]
        assert get(views) == later

    def test_what_the_later_one_does_not_say_is_gone(self, views: ReadModel) -> None:
        put(views, DEAD, replace(QUEUED, head_seq=3))
        assert get(views) == replace(QUEUED, head_seq=3)
        assert dead_letters(views) == []
        assert listed(views, EntryFilter("acme", status=Status.DEAD_LETTERED)) == []

    def test_where_it_is_archived_may_be_added_later_and_does_not_change_then(self, views: ReadModel) -> None:
        archived = replace(SUCCEEDED, archive_key="archive/a")
        answers = put(views, SUCCEEDED, SUCCEEDED, archived, replace(archived, archive_key="archive/b"), SUCCEEDED)
        assert answers == [True, False, True, False, False]
        assert get(views) == archived

    def test_a_task_that_ended_again_is_archived_anew(self, views: ReadModel) -> None:
        first = replace(DEAD, archive_key="archive/a")
        redriven = replace(QUEUED, head_seq=3)
        second = replace(SUCCEEDED, head_seq=5, archive_key="archive/b")
        assert put(views, first, redriven, second) == [True, True, True]
        assert get(views) == second

    def test_a_list_is_sorted_by_creation_the_newest_first(self, views: ReadModel) -> None:
        entries = many(23)
        put(views, *sorted(entries, key=lambda entry: entry.task_id[::-1]))
        for limit in (1, 2, 5, 22, 23, 24, 100):
            assert listed(views, EntryFilter("acme"), limit) == ids(entries)

    def test_the_last_page_says_that_it_is_the_last(self, views: ReadModel) -> None:
        put(views, *many(3))
        assert asyncio.run(views.list(EntryFilter("acme"), limit=3, cursor=None)).next_cursor is None

    def test_what_comes_meanwhile_changes_no_later_page(self, views: ReadModel) -> None:
        """Nothing twice, and nothing left out of what is older than the first page."""
        entries = many(30)
        put(views, *entries)
        wanted = EntryFilter("acme")

        def something_happens(number: int) -> None:
            put(views, replace(QUEUED, task_id=f"tsk_new{number}", created_at_ms=NOW_MS + 10**6 + number))
            put(views, replace(entries[number], status=Status.SUCCEEDED, head_seq=3, finished_at_ms=NOW_MS))
            put(views, replace(entries[-1 - number], status=Status.PARKED, head_seq=3))

        found = pages(lambda cursor: asyncio.run(views.list(wanted, limit=4, cursor=cursor)), something_happens)
        assert ids(found) == ids(entries)

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({"agent": "a"}, [0, 2, 4, 6, 8]),
            ({"lane": "batch"}, [0, 3, 6, 9]),
            ({"session": "s"}, [4, 9]),
            ({"session": ""}, []),
            ({"status": Status.PARKED}, [1, 5, 9]),
            ({"status": Status.PARKED, "lane": "batch"}, [9]),
            ({"status": Status.QUEUED, "agent": "b"}, [3, 7]),
            ({"status": Status.RUNNING}, []),
            ({"finished": True}, [2, 6]),
            ({"finished": False, "lane": "batch"}, [0, 3, 9]),
            ({"archived": True}, [2]),
            ({"archived": False, "agent": "a"}, [0, 4, 6, 8]),
            ({"created_after_ms": NOW_MS + 3000}, [3, 4, 5, 6, 7, 8, 9]),
            ({"created_before_ms": NOW_MS + 3000}, [0, 1, 2]),
            ({"created_after_ms": NOW_MS + 3000, "created_before_ms": NOW_MS + 5001, "agent": "b"}, [3, 5]),
            ({"created_after_ms": NOW_MS + 5000, "created_before_ms": NOW_MS + 5000}, []),
            ({"created_after_ms": NOW_MS + 6000, "created_before_ms": NOW_MS}, []),
            ({"created_after_ms": -5, "created_before_ms": 10**20}, list(range(10))),
            ({"status": Status.PARKED, "created_after_ms": NOW_MS + 2000, "created_before_ms": NOW_MS + 9000}, [5]),
        ],
    )
    def test_a_filter_lets_through_what_fits_it(
        self, views: ReadModel, wanted: dict[str, Any], expected: list[int]
    ) -> None:
        for number in range(10):
            entry = replace(
                QUEUED,
                task_id=f"tsk_{number}",
                created_at_ms=NOW_MS + 1000 * number,
                agent="ab"[number % 2],
                lane="standard" if number % 3 else "batch",
                session="s" if number % 5 == 4 else None,
            )
            if number % 4 == 1:
                entry = replace(entry, status=Status.PARKED, next_at_ms=NOW_MS)
            elif number % 4 == 2:
                entry = replace(entry, status=Status.SUCCEEDED, finished_at_ms=NOW_MS)
                entry = replace(entry, archive_key="archive/x" if number == 2 else None)
            put(views, entry)
        for limit in (1, 3, 20):
            found = listed(views, EntryFilter("acme", **wanted), limit)
            assert found == [f"tsk_{number}" for number in reversed(expected)]

    def test_a_tenant_sees_nothing_of_another_whatever_they_are_called(self, views: ReadModel) -> None:
        tenants = ["a", "a#0", "a#0#1", "A", "a ", "#", "a#parked", "ä"]
        for tenant in tenants:
            of_it = {"tenant": tenant, "session": "s", "head_seq": 0}
            put(views, replace(QUEUED, task_id=f"tsk_q_{tenant}", **of_it))
            put(views, replace(PARKED, task_id=f"tsk_p_{tenant}", **of_it))
        for tenant in tenants:
            assert sorted(listed(views, EntryFilter(tenant))) == [f"tsk_p_{tenant}", f"tsk_q_{tenant}"]
            assert listed(views, EntryFilter(tenant, status=Status.PARKED)) == [f"tsk_p_{tenant}"]
            assert listed(views, EntryFilter(tenant, status=Status.QUEUED, session="s")) == [f"tsk_q_{tenant}"]
        assert sorted(asyncio.run(views.tenants())) == sorted(tenants)

    def test_a_cursor_fits_its_own_list_and_no_other(self, views: ReadModel) -> None:
        for tenant in ("acme", "other"):
            put(views, *(replace(entry, task_id=f"{entry.task_id}{tenant}", tenant=tenant) for entry in many(9)))
        cursor = asyncio.run(views.list(EntryFilter("acme"), limit=4, cursor=None)).next_cursor
        assert cursor is not None
        for other in (
            EntryFilter("other"),
            EntryFilter("acme", agent="sample.echo"),
            EntryFilter("acme", status=Status.QUEUED),
            EntryFilter("acme", created_after_ms=1),
        ):
            with pytest.raises(ValueError, match="cursor"):
                asyncio.run(views.list(other, limit=4, cursor=cursor))
        with pytest.raises(ValueError, match="cursor"):
            asyncio.run(views.dead(DeadFilter(), limit=4, cursor=cursor))

    @pytest.mark.parametrize("cursor", ["", "x", "AAAA", "ä", "==", "A" * 5000, "AAAAAAAAAAAAMTIz", "\x00"])
    def test_what_is_no_cursor_is_refused(self, views: ReadModel, cursor: str) -> None:
        put(views, QUEUED, DEAD)
        with pytest.raises(ValueError, match="cursor"):
            asyncio.run(views.list(EntryFilter("acme"), limit=4, cursor=cursor))
        with pytest.raises(ValueError, match="cursor"):
            asyncio.run(views.dead(DeadFilter(), limit=4, cursor=cursor))

    def test_an_old_task_is_found_by_its_id_alone(self, views: ReadModel) -> None:
        entries = many(20)
        put(views, *entries)

        def find(tenant: str, task_id: str, before_ms: int) -> Entry | None:
            return asyncio.run(views.find(tenant, task_id, created_before_ms=before_ms))

        assert find("acme", "tsk_007", NOW_MS + 10**6) == entries[12]
        assert find("acme", "tsk_007", entries[12].created_at_ms) is None, "before, not at"
        assert find("other", "tsk_007", NOW_MS + 10**6) is None
        assert find("acme", "tsk_00", NOW_MS + 10**6) is None

    def test_dead_letters_of_the_whole_fleet_come_newest_first(self, views: ReadModel) -> None:
        letters = [
            dead(
                f"tsk_{number}",
                NOW_MS + 1000 * ((number * 7) % 10),
                tenant=f"tenant{number % 2}",
                agent=f"agent.{number % 3}",
                created_at_ms=NOW_MS - number,
            )
            for number in range(10)
        ]
        put(views, replace(SUCCEEDED, task_id="tsk_fine"), *letters)
        asyncio.run(views.put_unreadable(replace(MESSAGE, received_at_ms=NOW_MS + 4500)))
        newest_first = sorted(letters, key=lambda entry: entry.finished_at_ms or 0, reverse=True)
        expected = [entry.task_id for entry in newest_first]
        expected.insert(5, "m1")
        for limit in (1, 3, 10, 20):
            assert dead_letters(views, limit=limit) == expected
        of_one = [entry.task_id for entry in newest_first if entry.agent == "agent.1"]
        assert dead_letters(views, DeadFilter(agent="agent.1"), 2) == of_one
        assert dead_letters(views, DeadFilter(agent="agent.9")) == []
        assert dead_letters(views, DeadFilter(agent=UNREADABLE)) == ["m1"]

    def test_dead_letters_of_one_cause(self, views: ReadModel) -> None:
        cause = cause_of("b", "timeout", "no answer in 30 s")
        put(views, dead("tsk_1", NOW_MS), dead("tsk_2", NOW_MS + 1, agent="b", cause=cause))
        asyncio.run(views.put_unreadable(MESSAGE))
        for wanted in (cause.fingerprint, cause.text):
            assert dead_letters(views, DeadFilter(cause=wanted)) == ["tsk_2"]
            assert dead_letters(views, DeadFilter(agent="b", cause=wanted)) == ["tsk_2"]
            assert dead_letters(views, DeadFilter(agent="sample.echo", cause=wanted)) == []
        assert dead_letters(views, DeadFilter(cause=unreadable_cause(MESSAGE).fingerprint)) == ["m1"]
        assert dead_letters(views, DeadFilter(cause="")) == []

    def test_a_dead_letter_that_died_again_is_one_and_as_new_as_its_last_death(self, views: ReadModel) -> None:
        put(views, dead("tsk_1", NOW_MS), dead("tsk_2", NOW_MS + 5))
        put(views, replace(QUEUED, task_id="tsk_1", head_seq=3))
        assert dead_letters(views) == ["tsk_2"]
        put(views, dead("tsk_1", NOW_MS + 9, head_seq=6))
        assert dead_letters(views) == ["tsk_1", "tsk_2"]

    def test_the_tasks_of_a_run_are_listed_by_creation(self, views: ReadModel) -> None:
        entries = many(23, run=RUN, step="Extract")
        put(views, QUEUED, RUN_ENTRY, replace(STEP, task_id="tsk_other", run="wfl_" + "b" * 32), *entries)
        for limit in (1, 2, 5, 22, 23, 24, 100):
            assert of_run(views, RunFilter("acme", RUN), limit) == ids(entries)
            assert of_run(views, RunFilter("acme", RUN, oldest_first=True), limit) == ids(entries)[::-1]
        assert of_run(views, RunFilter("other", RUN)) == []

    def test_the_tasks_of_a_run_are_filtered(self, views: ReadModel) -> None:
        for number in range(10):
            ended = number % 3 == 0
            entry = replace(
                SUCCEEDED if ended else QUEUED,
                task_id=f"tsk_{number}",
                created_at_ms=NOW_MS + number,
                run=RUN,
                step="ab"[number % 2],
            )
            put(views, entry)
        for limit in (1, 3, 20):
            assert of_run(views, RunFilter("acme", RUN, step="a"), limit) == [
                "tsk_8",
                "tsk_6",
                "tsk_4",
                "tsk_2",
                "tsk_0",
            ]
            assert of_run(views, RunFilter("acme", RUN, finished=True), limit) == ["tsk_9", "tsk_6", "tsk_3", "tsk_0"]
            living = RunFilter("acme", RUN, step="b", finished=False, oldest_first=True)
            assert of_run(views, living, limit) == ["tsk_1", "tsk_5", "tsk_7"]

    def test_runs_are_listed_without_their_tasks(self, views: ReadModel) -> None:
        put(views, QUEUED, STEP)
        for number in range(6):
            entry = replace(RUN_ENTRY, task_id=f"wfl_{number}", created_at_ms=NOW_MS + number)
            if number % 2:
                entry = replace(entry, agent="workflow:saga")
            if number in (2, 3):
                entry = replace(entry, status=Status.SUCCEEDED, head_seq=1, finished_at_ms=NOW_MS)
            put(views, entry)
        for limit in (1, 2, 9):
            assert runs(views, RunsFilter("acme"), limit) == [f"wfl_{number}" for number in (5, 4, 3, 2, 1, 0)]
            assert runs(views, RunsFilter("acme", agent="workflow:saga"), limit) == ["wfl_5", "wfl_3", "wfl_1"]
            assert runs(views, RunsFilter("acme", status=Status.SUCCEEDED), limit) == ["wfl_3", "wfl_2"]
            assert runs(views, RunsFilter("acme", finished=False), limit) == ["wfl_5", "wfl_4", "wfl_1", "wfl_0"]
        assert runs(views, RunsFilter("other")) == []

    def test_tenants_see_nothing_of_each_others_runs_whatever_they_are_called(self, views: ReadModel) -> None:
        tenants = ["a", "a#" + RUN, "S", "S#a", "#"]
        for tenant in tenants:
            put(views, replace(STEP, task_id=f"tsk_{tenant}", tenant=tenant))
            put(views, replace(RUN_ENTRY, task_id=f"wfl_{tenant}", tenant=tenant))
        for tenant in tenants:
            assert of_run(views, RunFilter(tenant, RUN)) == [f"tsk_{tenant}"]
            assert runs(views, RunsFilter(tenant)) == [f"wfl_{tenant}"]

    def test_a_cursor_of_a_run_fits_no_other_list(self, views: ReadModel) -> None:
        put(views, *many(9, run=RUN, step="Extract"))
        wanted = RunFilter("acme", RUN)
        cursor = asyncio.run(views.tasks_of_run(wanted, limit=4, cursor=None)).next_cursor
        assert cursor is not None
        for other in (
            RunFilter("other", RUN),
            RunFilter("acme", "wfl_" + "b" * 32),
            RunFilter("acme", RUN, step="Extract"),
            RunFilter("acme", RUN, oldest_first=True),
        ):
            with pytest.raises(ValueError, match="cursor"):
                asyncio.run(views.tasks_of_run(other, limit=4, cursor=cursor))
        with pytest.raises(ValueError, match="cursor"):
            asyncio.run(views.runs(RunsFilter("acme"), limit=4, cursor=cursor))

    def test_an_unreadable_message_is_kept_once_and_whole(self, views: ReadModel) -> None:
        async def keep() -> EntryPage:
            await views.put_unreadable(MESSAGE)
            await views.put_unreadable(replace(MESSAGE, received_at_ms=NOW_MS + 1))
            return await views.dead(DeadFilter(), limit=5, cursor=None)

        assert asyncio.run(keep()).items == [MESSAGE]

    def test_a_very_long_unreadable_message_is_cut_and_says_so(self, views: ReadModel) -> None:
        body = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(1_048_577))

        async def keep() -> EntryPage:
            await views.put_unreadable(replace(MESSAGE, body=body))
            return await views.dead(DeadFilter(), limit=5, cursor=None)

        (kept,) = asyncio.run(keep()).items
        assert isinstance(kept, UnreadableMessage)
        assert kept.body.startswith(body[:20_000])
        assert "1048577 characters" in kept.body
