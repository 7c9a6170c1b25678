"""Nothing is dropped that is not finished and archived, however long a task lives and whatever fails meanwhile."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind
from flotilla.events.kinds import STATUS_AFTER
from flotilla.primitives.retention import DAY_MS
from flotilla.services.project import entry_of_log
from flotilla.services.rebuild import Rebuild
from flotilla.services.retention import KeeperReport, RetentionKeeper
from flotilla.services.settle import Settlement, Sources
from tests.fakes.retention import MemoryArchiveScan, MemoryEntryMender, MemoryLogRetention, MemoryLogScan
from tests.logs import START_MS, LogBuilder, log_of
from tests.unit.services.fleet import run
from tests.unit.services.projecting import Followed, Weather

FOR_EVER = 2**60


@dataclass
class Kept:
    """A fleet whose events are dropped when their time is over, and its keeper."""

    retention_days: int = 5
    followed: Followed = field(init=False)

    def __post_init__(self) -> None:
        self.followed = Followed(self.retention_days)
        self.retention = MemoryLogRetention(self.followed.log, self.retention_days)
        self.keeper = RetentionKeeper(
            log=self.followed.log,
            views=self.followed.views,
            archiver=self.followed.archiver,
            retention=self.retention,
            ledger=self.followed.ledger,
            clock=self.followed.clock,
            retention_days=self.retention_days,
        )

    async def keep(self, give_up_ms: int = FOR_EVER) -> KeeperReport:
        return await self.keeper.run(give_up_ms)

    async def keep_at_last(self) -> None:
        """Run until all was seen to, as the function is run again when it was not."""
        for _ in range(200):
            try:
                if not (await self.keep()).failed:
                    return
            except RetryableError:
                continue
        raise AssertionError("the weather is too bad")

    async def project(self, events: list[Event]) -> None:
        """Write events, and hand the projector their records until it has taken all."""
        self.followed.write(events)
        for _ in range(200):
            if not await self.followed.projector.project(events):
                return
        raise AssertionError("the weather is too bad")

    async def pass_days(self, days: int) -> None:
        """Let days pass; each with a run of the keeper, and with what is over being dropped."""
        for _ in range(days):
            self.followed.clock.advance(86_400)
            await self.keep()
            self.retention.drop(self.followed.clock.now_ms())

    async def whole(self, task_id: str) -> list[Event]:
        """What can be read of a task, from the table or the archive."""
        live = [event for _, event in sorted(self.followed.log.logs.get(task_id, {}).items())]
        return await self.followed.past.find("acme", task_id, live) or []


def living(task_id: str, *kinds: Kind) -> list[Event]:
    return log_of(Kind.STARTED, *kinds, task_id=task_id)


def test_what_is_finished_and_archived_is_dropped_and_costs_the_keeper_nothing() -> None:
    kept = Kept()
    log = living("tsk_1", Kind.SUCCEEDED)

    async def scene() -> None:
        await kept.followed.follow(log)
        kept.followed.log.reads = 0
        await kept.pass_days(18)
        assert kept.followed.log.logs, "kept for two weeks longer than was promised"
        await kept.pass_days(2)
        assert kept.followed.log.logs == {}
        assert (kept.followed.log.reads, kept.retention.writes, kept.followed.ledger.kept) == (0, 0, {})
        assert await kept.whole("tsk_1") == log

    run(scene())


def test_what_is_finished_and_not_archived_is_archived() -> None:
    kept = Kept()
    log = living("tsk_1", Kind.DEAD_LETTERED)

    async def scene() -> None:
        kept.followed.archive.weather = Weather(percent=100)
        await kept.followed.follow(log)
        assert kept.followed.views.entries["tsk_1"].archive_key is None
        kept.followed.archive.weather = Weather()
        await kept.pass_days(11)
        assert kept.followed.archive.objects == {}, "there is time yet"
        await kept.pass_days(2)
        assert kept.followed.views.entries["tsk_1"].archive_key in kept.followed.archive.objects
        await kept.pass_days(10)
        assert kept.followed.log.logs == {}
        assert await kept.whole("tsk_1") == log

    run(scene())


@pytest.mark.parametrize("kind", [Kind.STARTED, Kind.PARKED, Kind.WAITING, Kind.ATTEMPT_FAILED, Kind.STEP_RECORDED])
def test_what_does_not_end_is_kept_for_as_long_as_it_takes(kind: Kind) -> None:
    kept = Kept()
    log = living("tsk_1", kind)

    async def scene() -> None:
        await kept.followed.follow(log)
        await kept.pass_days(100)
        assert await kept.whole("tsk_1") == log
        assert sorted(kept.followed.log.logs["tsk_1"]) == [0, 1, 2]
        assert kept.retention.writes <= 3 * 9, "once in twelve days, not every day"
        end = LogBuilder("tsk_1")
        end.events = list(log)
        end.add(Kind.CANCELLED, at_ms=kept.followed.clock.now_ms())
        await kept.followed.follow([end.events[-1]])
        await kept.pass_days(40)
        assert kept.followed.log.logs == {}
        assert kept.followed.ledger.kept == {}
        assert await kept.whole("tsk_1") == end.events

    run(scene())


def test_a_task_that_is_due_in_a_year_is_there_when_its_day_comes() -> None:
    kept = Kept()
    builder = LogBuilder("tsk_1")
    builder.add(Kind.ACCEPTED, due_at_ms=START_MS + 365 * DAY_MS)

    async def scene() -> None:
        await kept.followed.follow(builder.events)
        await kept.pass_days(366)
        assert await kept.whole("tsk_1") == builder.events
        assert kept.retention.writes < 40

    run(scene())


def test_a_dead_letter_redriven_at_the_last_moment_is_kept() -> None:
    kept = Kept()
    builder = LogBuilder("tsk_1")
    for kind in (Kind.ACCEPTED, Kind.STARTED, Kind.DEAD_LETTERED):
        builder.add(kind)

    async def scene() -> None:
        await kept.followed.follow(builder.events)
        await kept.pass_days(17)  # the keeper has passed its day by; its first event has two more days
        builder.add(Kind.REDRIVEN, at_ms=kept.followed.clock.now_ms())
        await kept.followed.follow(builder.events[-1:])
        await kept.pass_days(60)
        assert await kept.whole("tsk_1") == builder.events

    run(scene())


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 30))
def test_nothing_is_lost_whatever_tasks_do_and_stores_fail(seed: int, retention_days: int, percent: int) -> None:
    """The projector gets all records in time; the keeper is away for up to three days; calls fail at random.

    By a generator of its own: dice that Hypothesis throws can fall badly for ever.
    """
    dice = random.Random(seed)
    kept = Kept(retention_days)
    tasks = [LogBuilder(f"tsk_{number}") for number in range(3)]
    kinds = [kind for kind in Kind if kind not in (Kind.ACCEPTED, Kind.REDRIVEN)]

    async def scene() -> None:
        kept.followed.weather.dice = dice
        away = 0
        for _ in range(90):
            kept.followed.clock.advance(86_400)
            now_ms = kept.followed.clock.now_ms()
            kept.followed.weather.percent = percent
            for task in tasks:
                old_ms = now_ms - task.events[0].at_ms if task.events else 0
                ended = bool(task.events) and STATUS_AFTER[task.events[-1].kind].terminal
                if dice.random() < 0.9 or (ended and old_ms > (retention_days + 10) * DAY_MS):
                    continue  # what ended is redriven no later than some days before it may be dropped
                kind = Kind.ACCEPTED if not task.events else Kind.REDRIVEN if ended else dice.choice(kinds)
                await kept.project([task.add(kind, at_ms=now_ms)])
            if away < 3 and dice.random() < 0.4:
                away += 1
            else:
                away = 0
                await kept.keep_at_last()
            kept.retention.drop(now_ms)
            kept.followed.weather.percent = 0
            for task in tasks:
                if task.events:
                    assert await kept.whole(task.task_id) == task.events

    run(scene())


def test_a_run_that_is_cut_short_goes_on_where_it_was() -> None:
    kept = Kept()

    async def scene() -> None:
        for number in range(250):
            log = living(f"tsk_{number:03d}", Kind.SUCCEEDED)
            kept.followed.write(log)
            await kept.followed.views.put(entry_of_log(log))
        kept.followed.clock.advance(13 * 86_400)
        report = await kept.keep(give_up_ms=0)
        assert (report.looked_at, report.complete) == (0, False)
        report = await kept.keep()
        assert (report.archived, report.complete) == (250, True)
        assert len(kept.followed.archive.objects) == 3, "a hundred to an object"
        report = await kept.keep()
        assert (report.looked_at, report.complete) == (0, True)

    run(scene())


def test_a_corrupt_log_is_kept_as_evidence_and_holds_up_nobody() -> None:
    kept = Kept()
    fine, corrupt = living("tsk_1", Kind.SUCCEEDED), living("tsk_2", Kind.SUCCEEDED)

    async def scene() -> None:
        for log in (fine, corrupt):
            await kept.followed.views.put(entry_of_log(log))
        kept.followed.write(fine)
        kept.followed.write([corrupt[0], corrupt[2]])
        await kept.pass_days(60)
        assert set(kept.followed.log.logs) == {"tsk_2"}
        assert await kept.whole("tsk_1") == fine

    run(scene())


def test_tenants_are_gone_through_each_for_itself() -> None:
    kept = Kept()

    async def scene() -> None:
        for tenant in ("a", "b"):
            builder = LogBuilder(f"tsk_{tenant}")
            builder.add(Kind.ACCEPTED, tenant=tenant)
            await kept.followed.follow(builder.events)
        await kept.pass_days(60)
        assert set(kept.followed.log.logs) == {"tsk_a", "tsk_b"}
        assert set(kept.followed.ledger.marks) == {"a", "b"}

    run(scene())


def rebuild(followed: Followed) -> Rebuild:
    archive = MemoryArchiveScan(followed.archive)
    sources = Sources(scan=MemoryLogScan(followed.log), log=followed.log, archive=archive)
    settlement = Settlement(
        sources=sources,
        mender=MemoryEntryMender(followed.views.entries),
        ledger=followed.ledger,
        clock=followed.clock,
        retention_days=followed.retention_days,
    )
    return Rebuild(sources=sources, views=followed.views, settlement=settlement, clock=followed.clock)


@pytest.mark.parametrize("archive", [True, False])
def test_a_rebuilt_read_model_lets_the_keeper_do_its_work(archive: bool) -> None:
    """Where entries were lost and the archive is not read, what is archived is archived once more."""
    kept = Kept()
    log = living("tsk_1", Kind.SUCCEEDED)

    async def scene() -> None:
        await kept.followed.follow(log)
        kept.followed.views.entries.clear()
        await rebuild(kept.followed).run(archive=archive)
        await kept.pass_days(30)
        assert kept.followed.log.logs == {}
        assert await kept.whole("tsk_1") == log

    run(scene())
