"""The contracts of `EntryMender` and `ArchiveScan`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flotilla.events import Kind
from flotilla.models import Status
from flotilla.ports import Archive, ReadModel, Watchlist
from flotilla.read_model import DeadFilter, Entry, EntryFilter, RunFilter, Spent, Watched
from flotilla.retention_ports import ArchiveScan, EntryMender, Mended, Standing
from tests.contracts.read_model import (
    DEAD,
    NOW_MS,
    PARKED,
    QUEUED,
    RUN,
    STEP,
    SUCCEEDED,
    dead_letters,
    get,
    listed,
    of_run,
    put,
)
from tests.logs import log_of

ARCHIVED = replace(SUCCEEDED, archive_key="archive/a")


def mend(mender: EntryMender, entry: Entry, over: Standing | None = None) -> Mended:
    return asyncio.run(mender.mend(entry, over))


class EntryMenderContract:
    """Provide fixtures `views`, `watchlist` and `mender`, over the same empty store."""

    @pytest.mark.parametrize("entry", [QUEUED, PARKED, DEAD, ARCHIVED], ids=lambda entry: entry.status)
    def test_an_entry_that_is_missing_is_made_once(self, views: ReadModel, mender: EntryMender, entry: Entry) -> None:
        standing = Standing(entry.head_seq, entry.archive_key)
        assert mend(mender, entry) == Mended(True, standing)
        assert mend(mender, entry) == Mended(False, standing)
        assert get(views, entry) == entry
        assert listed(views, EntryFilter("acme", status=entry.status)) == [entry.task_id]

    def test_an_entry_that_is_behind_is_brought_up(self, views: ReadModel, mender: EntryMender) -> None:
        put(views, replace(DEAD, archive_key="archive/of-the-first-life"))
        again = replace(QUEUED, head_seq=3)
        assert mend(mender, again) == Mended(True, Standing(3, None))
        assert get(views) == again
        assert dead_letters(views) == []

    def test_an_entry_that_is_further_is_left_as_it_is(self, views: ReadModel, mender: EntryMender) -> None:
        put(views, ARCHIVED)
        assert mend(mender, QUEUED) == Mended(False, Standing(2, "archive/a"))
        assert get(views) == ARCHIVED

    @pytest.mark.parametrize(
        "wrong",
        [
            replace(PARKED, status=Status.QUEUED),
            replace(PARKED, agent="another", lane="batch", attempt=7),
            replace(PARKED, session="s"),
            replace(PARKED, head_at_ms=5),
            replace(PARKED, head_hash="cd" * 32),
            replace(PARKED, next_at_ms=None),
            replace(PARKED, look_at_ms=None),
            replace(DEAD, archive_key="archive/x"),
        ],
        ids=range(8),
    )
    def test_an_entry_of_the_same_event_that_says_otherwise_is_put_right(
        self, views: ReadModel, mender: EntryMender, wrong: Entry
    ) -> None:
        put(views, wrong)
        assert mend(mender, PARKED) == Mended(True, Standing(2, None))
        assert mend(mender, PARKED) == Mended(False, Standing(2, None))
        found = get(views)
        assert found == PARKED
        assert dead_letters(views) == []
        assert listed(views, EntryFilter("acme", status=Status.PARKED)) == ["tsk_1"]

    def test_where_a_log_is_archived_stays_known(self, views: ReadModel, mender: EntryMender) -> None:
        put(views, replace(ARCHIVED, attempt=9))
        assert mend(mender, SUCCEEDED) == Mended(True, Standing(2, "archive/a"))
        assert get(views) == ARCHIVED

    def test_who_says_where_it_is_archived_is_believed(self, views: ReadModel, mender: EntryMender) -> None:
        put(views, SUCCEEDED)
        for key in ("archive/a", "archive/b"):
            assert mend(mender, replace(SUCCEEDED, archive_key=key)) == Mended(True, Standing(2, key))
            assert get(views) == replace(SUCCEEDED, archive_key=key)

    def test_when_the_reconciler_looks_again_stays_as_it_is(
        self, views: ReadModel, watchlist: Watchlist, mender: EntryMender
    ) -> None:
        put(views, PARKED)
        watched = Watched("tsk_1", "acme", NOW_MS, head_seq=2, looks=3)
        asyncio.run(watchlist.look_again(watched, NOW_MS + 900_000))
        assert not mend(mender, PARKED).stored
        mend(mender, replace(PARKED, attempt=2))
        assert asyncio.run(watchlist.overdue(NOW_MS + 900_000, limit=9)) == [watched]
        assert get(views) == replace(PARKED, attempt=2, look_at_ms=NOW_MS + 900_000)

    def test_what_is_looked_after_though_it_has_ended_is_so_once(
        self, views: ReadModel, watchlist: Watchlist, mender: EntryMender
    ) -> None:
        ended = replace(DEAD, task_id=RUN, is_run=True, look_at_ms=NOW_MS + 60_000)
        assert mend(mender, ended).stored
        assert get(views, ended) == ended
        asyncio.run(watchlist.look_again(Watched(RUN, "acme", NOW_MS, head_seq=2), None))
        assert not mend(mender, ended).stored
        mend(mender, replace(ended, attempt=7))
        assert get(views, ended) == replace(ended, attempt=7, look_at_ms=None)

    def test_to_which_run_a_task_belongs_is_put_right(self, views: ReadModel, mender: EntryMender) -> None:
        put(views, replace(STEP, run=None, step=None, spent=Spent(1, 1, 1, 1)))
        assert mend(mender, STEP).stored
        assert not mend(mender, STEP).stored
        assert get(views, STEP) == STEP
        assert of_run(views, RunFilter("acme", RUN)) == ["tsk_1"]
        assert mend(mender, QUEUED).stored
        assert of_run(views, RunFilter("acme", RUN)) == []

    def test_one_that_stands_just_there_is_replaced_however_far_it_is(
        self, views: ReadModel, mender: EntryMender
    ) -> None:
        put(views, replace(ARCHIVED, head_seq=99))
        assert not mend(mender, SUCCEEDED, over=Standing(99, "archive/b")).stored
        assert not mend(mender, SUCCEEDED, over=Standing(98, "archive/a")).stored
        assert mend(mender, SUCCEEDED, over=Standing(99, "archive/a")) == Mended(True, Standing(2, None))
        assert get(views) == SUCCEEDED

    def test_one_that_is_archived_nowhere_may_be_told_so(self, views: ReadModel, mender: EntryMender) -> None:
        put(views, ARCHIVED)
        assert mend(mender, SUCCEEDED, over=Standing(2, "archive/a")) == Mended(True, Standing(2, None))
        assert get(views) == SUCCEEDED

    def test_of_another_task_nothing_changes(self, views: ReadModel, mender: EntryMender) -> None:
        other = replace(DEAD, task_id="tsk_2", attempt=5)
        put(views, other)
        mend(mender, DEAD)
        assert get(views, other) == other
        assert asyncio.run(views.dead(DeadFilter(), limit=9, cursor=None)).items == [other, DEAD]


class ArchiveScanContract:
    """Provide fixtures `archive` and `archive_scan`, over the same empty store."""

    def test_every_object_is_listed_once_and_in_order(self, archive: Archive, archive_scan: ArchiveScan) -> None:
        keys = [f"archive/2026/11/{day:02d}/10/{letter}.jsonl.gz" for day in (3, 4, 20) for letter in "abc"]
        for key in reversed(keys):
            asyncio.run(archive.put(key, [log_of(task_id="tsk_a")]))
        for limit in (1, 2, 9, 1000):
            found: list[str] = []
            while page := asyncio.run(archive_scan.keys(found[-1] if found else None, limit=limit)):
                assert len(page) <= limit
                found += page
            assert found == keys

    def test_all_logs_of_an_object_are_read(self, archive: Archive, archive_scan: ArchiveScan) -> None:
        logs = [log_of(Kind.STARTED, Kind.SUCCEEDED, task_id=f"tsk_{number}") for number in range(5)]
        asyncio.run(archive.put("archive/x", logs))
        assert asyncio.run(archive_scan.logs("archive/x")) == logs
        assert asyncio.run(archive_scan.logs("archive/y")) == []

    def test_an_empty_archive_has_nothing(self, archive_scan: ArchiveScan) -> None:
        assert asyncio.run(archive_scan.keys(None, limit=5)) == []
