"""The contract of `Watchlist`, together with the `ReadModel` whose entries are on it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from flotilla.models import Status
from flotilla.ports import ReadModel, Watchlist
from flotilla.read_model import Entry, EntryFilter, SweepMark, Watched

NOW_MS = 1_700_000_000_000

PARKED = Entry(
    task_id="tsk_1",
    tenant="acme",
    agent="sample.echo",
    lane="standard",
    session=None,
    status=Status.PARKED,
    attempt=1,
    created_at_ms=NOW_MS - 60_000,
    head_seq=2,
    head_at_ms=NOW_MS - 50_000,
    next_at_ms=NOW_MS - 10_000,
    look_at_ms=NOW_MS,
)


class WatchlistContract:
    """Provide fixtures `views` and `watchlist`, over the same empty store."""

    def put(self, views: ReadModel, *entries: Entry) -> None:
        async def put_all() -> None:
            for entry in entries:
                await views.put(entry)

        asyncio.run(put_all())

    def overdue(self, watchlist: Watchlist, now_ms: int = NOW_MS, limit: int = 100) -> list[Watched]:
        return sorted(asyncio.run(watchlist.overdue(now_ms, limit=limit)), key=lambda watched: watched.task_id)

    def again(self, watchlist: Watchlist, watched: Watched, at_ms: int | None) -> None:
        asyncio.run(watchlist.look_again(watched, at_ms))

    def entry(self, views: ReadModel) -> Entry | None:
        return asyncio.run(views.get("acme", "tsk_1", PARKED.created_at_ms))

    def test_an_entry_is_overdue_from_its_time_on(self, views: ReadModel, watchlist: Watchlist) -> None:
        self.put(views, PARKED)
        assert self.overdue(watchlist, NOW_MS - 1) == []
        expected = [Watched("tsk_1", "acme", PARKED.created_at_ms, head_seq=2, looks=0)]
        assert self.overdue(watchlist) == expected
        assert self.overdue(watchlist, NOW_MS + 10**9) == expected

    def test_an_entry_without_a_time_never_is(self, views: ReadModel, watchlist: Watchlist) -> None:
        self.put(views, replace(PARKED, look_at_ms=None))
        assert self.overdue(watchlist, NOW_MS + 10**9) == []

    def test_it_is_of_all_tenants_and_shards(self, views: ReadModel, watchlist: Watchlist) -> None:
        entries = [replace(PARKED, task_id=f"tsk_{n:02d}", tenant=f"tenant#{n % 3}") for n in range(20)]
        self.put(views, *entries)
        found = self.overdue(watchlist)
        assert [(each.task_id, each.tenant) for each in found] == [(each.task_id, each.tenant) for each in entries]

    def test_of_each_shard_come_as_many_as_asked_for_the_longest_overdue_first(
        self, views: ReadModel, watchlist: Watchlist
    ) -> None:
        entries = [replace(PARKED, task_id=f"tsk_{n:02d}", look_at_ms=NOW_MS - n) for n in range(40)]
        self.put(views, *entries)
        found = self.overdue(watchlist, limit=1)
        assert 1 <= len(found) <= 8
        assert "tsk_39" in {watched.task_id for watched in found}

    def test_an_entry_that_ends_leaves_it(self, views: ReadModel, watchlist: Watchlist) -> None:
        self.put(views, PARKED)
        done = replace(PARKED, status=Status.SUCCEEDED, head_seq=4, next_at_ms=None, look_at_ms=None)
        self.put(views, replace(done, finished_at_ms=NOW_MS))
        assert self.overdue(watchlist) == []

    def test_what_is_looked_after_again_later_is_not_overdue_until_then(
        self, views: ReadModel, watchlist: Watchlist
    ) -> None:
        self.put(views, PARKED)
        (watched,) = self.overdue(watchlist)
        self.again(watchlist, replace(watched, looks=3), NOW_MS + 1000)
        assert self.overdue(watchlist) == []
        assert self.overdue(watchlist, NOW_MS + 1000) == [replace(watched, looks=3)]

    def test_what_was_not_on_it_can_be_put_there_and_its_entry_says_so(
        self, views: ReadModel, watchlist: Watchlist
    ) -> None:
        young = replace(PARKED, status=Status.QUEUED, head_seq=0, next_at_ms=None, look_at_ms=None)
        self.put(views, young)
        self.again(watchlist, Watched("tsk_1", "acme", PARKED.created_at_ms, head_seq=0, looks=1), NOW_MS)
        assert [watched.looks for watched in self.overdue(watchlist)] == [1]
        assert self.entry(views) == replace(young, look_at_ms=NOW_MS)
        everything = EntryFilter("acme", finished=False)
        assert asyncio.run(views.list(everything, limit=9, cursor=None)).items == [replace(young, look_at_ms=NOW_MS)]

    def test_what_is_taken_off_is_gone_and_its_entry_stays(self, views: ReadModel, watchlist: Watchlist) -> None:
        self.put(views, PARKED)
        (watched,) = self.overdue(watchlist)
        self.again(watchlist, watched, None)
        self.again(watchlist, watched, None)
        assert self.overdue(watchlist) == []
        assert self.entry(views) == replace(PARKED, look_at_ms=None)

    def test_an_entry_that_moved_on_is_left_as_it_is(self, views: ReadModel, watchlist: Watchlist) -> None:
        self.put(views, PARKED)
        (watched,) = self.overdue(watchlist)
        moved = replace(PARKED, head_seq=4, look_at_ms=NOW_MS + 500)
        self.put(views, moved)
        for at_ms in (None, NOW_MS + 10_000):
            self.again(watchlist, replace(watched, looks=5), at_ms)
        assert self.overdue(watchlist, NOW_MS + 500) == [replace(watched, head_seq=4)]

    def test_an_entry_that_moves_on_has_had_no_looks(self, views: ReadModel, watchlist: Watchlist) -> None:
        self.put(views, PARKED)
        (watched,) = self.overdue(watchlist)
        self.again(watchlist, replace(watched, looks=5), NOW_MS)
        self.put(views, replace(PARKED, head_seq=3))
        assert self.overdue(watchlist) == [replace(watched, head_seq=3, looks=0)]

    def test_an_entry_that_is_not_there_is_not_made(self, views: ReadModel, watchlist: Watchlist) -> None:
        for at_ms in (None, NOW_MS):
            self.again(watchlist, Watched("tsk_1", "acme", PARKED.created_at_ms, head_seq=0), at_ms)
        assert self.overdue(watchlist) == []
        assert self.entry(views) is None

    def test_a_sweep_finds_where_it_got_to(self, watchlist: Watchlist) -> None:
        assert asyncio.run(watchlist.mark("10m")) is None
        for mark in (SweepMark(1, 5, "acme", "c"), SweepMark(5, 5)):
            asyncio.run(watchlist.set_mark("10m", mark))
            assert asyncio.run(watchlist.mark("10m")) == mark
        assert asyncio.run(watchlist.mark("1h")) is None
