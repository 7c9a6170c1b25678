"""The read model made again: as the logs say, whatever was done to it, and while everything goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.errors import StoreUnavailableError
from flotilla.events import Event, Kind
from flotilla.models import Status
from flotilla.primitives.retention import DAY_MS, noticed_before_ms
from flotilla.read_model import Entry
from flotilla.retention_ports import ScanPage
from flotilla.services.project import entry_of_log
from flotilla.services.rebuild import Rebuild, RebuildReport
from flotilla.services.settle import Settlement, Sources
from tests.fakes.retention import MemoryArchiveScan, MemoryEntryMender, MemoryLogScan
from tests.histories import logs
from tests.logs import LogBuilder, log_of
from tests.unit.services.fleet import run
from tests.unit.services.projecting import RETENTION_DAYS, Followed


class Scan(MemoryLogScan):
    """Small pages, and something that happens before each of them."""

    def __init__(self, followed: Followed) -> None:
        super().__init__(followed.log)
        self.before_page: Callable[[], Any] = lambda: None
        self.unreadable: frozenset[str] = frozenset()
        self.outages = 0

    async def page(self, segment: int, segments: int, cursor: str | None, *, limit: int) -> ScanPage:
        if self.outages:
            self.outages -= 1
            raise StoreUnavailableError("no answer")
        happened = self.before_page()
        if happened is not None:
            await happened
        page = await super().page(segment, segments, cursor, limit=3)
        return replace(page, unreadable=self.unreadable)


class Rebuilt:
    """What follows the log, and its rebuild."""

    def __init__(self) -> None:
        self.followed = Followed()
        self.scan = Scan(self.followed)
        self.mender = MemoryEntryMender(self.followed.views.entries)
        self.archive_scan = MemoryArchiveScan(self.followed.archive)
        self.told: list[tuple[int, int]] = []
        sources = Sources(scan=self.scan, log=self.followed.log, archive=self.archive_scan)
        self.rebuild = Rebuild(
            sources=sources,
            views=self.followed.views,
            settlement=Settlement(
                sources=sources,
                mender=self.mender,
                ledger=self.followed.ledger,
                clock=self.followed.clock,
                retention_days=RETENTION_DAYS,
            ),
            clock=self.followed.clock,
            segments=2,
            told=lambda report: self.told.append((report.events, report.logs)),
        )

    @property
    def entries(self) -> dict[str, Entry]:
        return self.followed.views.entries

    def written(self, *of_tasks: list[Event]) -> None:
        """Have the projector follow these logs."""
        run(self.followed.follow(*of_tasks))

    def dropped(self, log: list[Event], *seqs: int) -> None:
        """Have the table drop these events of a log, or all of it."""
        for event in log:
            if not seqs or event.seq in seqs:
                del self.followed.log.logs[log[0].task_id][event.seq]
        if not self.followed.log.logs[log[0].task_id]:
            del self.followed.log.logs[log[0].task_id]

    def __call__(self, *, archive: bool = True) -> RebuildReport:
        return run(self.rebuild.run(archive=archive))


@pytest.fixture
def rebuilt() -> Rebuilt:
    return Rebuilt()


def finished(task_id: str = "tsk_a") -> list[Event]:
    return log_of(Kind.STARTED, Kind.SUCCEEDED, task_id=task_id)


def redriven(task_id: str = "tsk_a", *kinds: Kind) -> list[Event]:
    return log_of(Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, *kinds, task_id=task_id)


_ALTERED: list[Callable[[Entry], Entry | None]] = [
    lambda _: None,
    lambda entry: replace(entry, status=Status.CANCELLED),
    lambda entry: replace(entry, agent="x", lane="x", session="x", attempt=99),
    lambda entry: replace(entry, head_seq=entry.head_seq + 5),
    lambda entry: replace(entry, head_seq=0, head_hash="ab" * 32),
    lambda entry: replace(entry, archive_key="archive/nowhere"),
    lambda entry: replace(entry, archive_key=None),
    lambda entry: replace(entry, look_at_ms=None, next_at_ms=5, finished_at_ms=5, head_hash="00"),
    lambda entry: entry,
]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_was_done_to_entries_they_say_what_the_logs_say(data: st.DataObject) -> None:
    rebuilt = Rebuilt()
    tasks = [data.draw(logs(f"tsk_{number}"), label=f"log {number}") for number in range(data.draw(st.integers(0, 5)))]
    rebuilt.written(*tasks)
    keys = {task_id: entry.archive_key for task_id, entry in rebuilt.entries.items()}
    for log in tasks:
        task_id = log[0].task_id
        altered = data.draw(st.sampled_from(_ALTERED), label="altered")(rebuilt.entries[task_id])
        if altered is None:
            del rebuilt.entries[task_id]
        else:
            rebuilt.entries[task_id] = altered
        if keys[task_id] is not None:
            seqs = data.draw(st.sets(st.sampled_from(range(len(log)))), label="dropped")
            if seqs:
                rebuilt.dropped(log, *seqs)
    report = rebuilt()
    for log in tasks:
        expected = replace(entry_of_log(log), archive_key=keys[log[0].task_id])
        assert rebuilt.entries[log[0].task_id] == expected
    assert not report.failed
    again = rebuilt()
    assert (again.stored, again.set_back, again.failed) == (0, set(), set())


def test_of_an_empty_fleet_nothing_is_made(rebuilt: Rebuilt) -> None:
    assert rebuilt() == RebuildReport()


def test_a_log_that_the_table_has_no_more_is_read_from_the_archive(rebuilt: Rebuilt) -> None:
    log = finished()
    rebuilt.written(log, finished("tsk_b"))
    before = dict(rebuilt.entries)
    rebuilt.dropped(log)
    rebuilt.entries.clear()
    assert rebuilt(archive=False).stored == 1
    assert rebuilt.entries.keys() == {"tsk_b"}
    report = rebuilt()
    assert rebuilt.entries == before
    # The one that is live has its archive key again.
    assert (report.objects, report.stored, report.logs) == (2, 2, 3)


def test_a_task_that_lived_twice_is_as_its_second_life_left_it(rebuilt: Rebuilt) -> None:
    log = redriven("tsk_a", Kind.STARTED, Kind.SUCCEEDED)
    rebuilt.written(log[:3])
    rebuilt.written(log)
    (entry,) = rebuilt.entries.values()
    for dropped in ((), (0,), (4, 5), (5,)):
        rebuilt.entries.clear()
        rebuilt.followed.log.logs["tsk_a"] = {event.seq: event for event in log}
        rebuilt.dropped(log, *dropped)
        assert not rebuilt().set_back
        assert rebuilt.entries == {"tsk_a": entry}
        assert not rebuilt().stored


def test_a_task_that_lives_again_is_not_taken_for_dead(rebuilt: Rebuilt) -> None:
    log = redriven("tsk_a", Kind.STARTED)
    rebuilt.written(log[:3])
    rebuilt.written(log)
    before = dict(rebuilt.entries)
    assert rebuilt().stored == 0
    rebuilt.entries.clear()
    rebuilt()
    assert rebuilt.entries == before


def test_an_entry_that_says_more_than_any_log_is_set_back_and_named(rebuilt: Rebuilt) -> None:
    rebuilt.written(finished(), log_of(task_id="tsk_b"))
    expected = dict(rebuilt.entries)
    for task_id, entry in expected.items():
        rebuilt.entries[task_id] = replace(entry, head_seq=7, status=Status.CANCELLED)
    assert rebuilt().set_back == {"tsk_a", "tsk_b"}
    assert rebuilt.entries == expected
    assert not rebuilt().set_back


def test_a_log_that_was_cut_is_found_by_its_entry(rebuilt: Rebuilt) -> None:
    log = log_of(Kind.STARTED, Kind.PARKED)
    rebuilt.written(log)
    rebuilt.dropped(log, 2)
    assert rebuilt().set_back == {log[0].task_id}


def test_what_is_written_meanwhile_is_never_set_back(rebuilt: Rebuilt) -> None:
    """Between any two pages the projector follows another event, of this log or of that."""
    whole = [redriven(f"tsk_{number}", Kind.STARTED, Kind.PARKED, Kind.STARTED, Kind.SUCCEEDED) for number in range(6)]
    rebuilt.written(*(log[:1] for log in whole))
    rebuilt.entries.clear()
    dice = random.Random(7)
    reached = [1] * len(whole)

    def go_on() -> Any:
        number = dice.randrange(len(whole))
        before, reached[number] = reached[number], min(reached[number] + dice.randrange(4), len(whole[number]))
        return rebuilt.followed.follow(whole[number][before : reached[number]])

    rebuilt.scan.before_page = go_on
    for _ in range(12):
        report = rebuilt()
        assert (report.set_back, report.failed) == (set(), set())
        for log, end in zip(whole, reached, strict=True):
            entry = rebuilt.entries[log[0].task_id]
            assert entry.head_seq <= end
    rebuilt.scan.before_page = lambda: None
    rebuilt()
    for log, end in zip(whole, reached, strict=True):
        entry = rebuilt.entries[log[0].task_id]
        assert replace(entry, archive_key=None) == entry_of_log(log[:end])


def test_an_entry_that_the_projector_brings_further_while_its_log_is_looked_up_stays(rebuilt: Rebuilt) -> None:
    """The scan saw one event, the projector has stored the third, and stores the fifth before the rebuild writes."""
    log = log_of(Kind.STARTED, Kind.PARKED, Kind.STARTED, Kind.PARKED)
    rebuilt.written(log[:3])
    entry = entry_of_log(log[:1])
    read = rebuilt.followed.log.read

    async def read_then_go_on(task_id: str) -> list[Event]:
        found = await read(task_id)
        rebuilt.followed.log.read = read  # type: ignore[method-assign]
        await rebuilt.followed.follow(log[3:])
        return found

    rebuilt.followed.log.read = read_then_go_on  # type: ignore[method-assign]
    settled = run(rebuilt.rebuild._settlement.settle(entry))
    assert not settled.set_back
    assert rebuilt.entries[log[0].task_id] == entry_of_log(log)


def test_a_log_that_begins_to_be_dropped_is_not_taken_for_the_log(rebuilt: Rebuilt) -> None:
    log = finished()
    rebuilt.written(log)
    before = dict(rebuilt.entries)
    for dropped in ((0,), (1,), (2,), (0, 1), (1, 2)):
        rebuilt.followed.log.logs["tsk_a"] = {event.seq: event for event in log}
        rebuilt.dropped(log, *dropped)
        for archive in (True, False):
            report = rebuilt(archive=archive)
            assert (report.stored, report.set_back, report.failed) == (0, set(), set())
            assert rebuilt.entries == before


def test_an_altered_event_of_a_log_that_is_being_dropped_is_found(rebuilt: Rebuilt) -> None:
    log = finished()
    rebuilt.written(log)
    rebuilt.dropped(log, 1)
    stored = rebuilt.followed.log.logs["tsk_a"]
    stored[2] = replace(stored[2], hash="00" * 32)
    assert rebuilt().failed == {"tsk_a"}


def test_a_word_that_it_is_archived_is_believed_only_if_it_is(rebuilt: Rebuilt) -> None:
    rebuilt.followed.archiver.archive = nothing_is_archived  # type: ignore[method-assign]
    rebuilt.written(finished())
    (entry,) = rebuilt.entries.values()
    rebuilt.entries["tsk_a"] = replace(entry, archive_key="archive/nowhere")
    assert rebuilt().stored == 1
    assert rebuilt.entries["tsk_a"].archive_key is None
    # Archived since the objects were listed:
    rebuilt.entries["tsk_a"] = replace(entry, archive_key="archive/new")

    async def archive() -> None:
        await rebuilt.followed.archive.put("archive/new", [finished()])

    rebuilt.scan.before_page = archive
    assert rebuilt().stored == 0
    assert rebuilt.entries["tsk_a"].archive_key == "archive/new"


async def nothing_is_archived(_logs: object) -> dict[str, str]:
    return {}


def test_what_the_keeper_may_have_passed_by_comes_up_again(rebuilt: Rebuilt) -> None:
    now_ms = rebuilt.followed.clock.now_ms()
    old_ms = noticed_before_ms(now_ms, RETENTION_DAYS) - DAY_MS
    for task_id, at_ms in (("tsk_old", old_ms), ("tsk_new", now_ms)):
        builder = LogBuilder(task_id)
        builder.add(Kind.ACCEPTED, at_ms=at_ms)
        rebuilt.followed.write(builder.events)
    old = LogBuilder("tsk_archived")
    old.add(Kind.ACCEPTED, at_ms=old_ms)
    old.add(Kind.CANCELLED, at_ms=old_ms + 1)
    rebuilt.written(old.events)
    rebuilt()
    assert list(rebuilt.followed.ledger.kept) == ["tsk_old"]
    assert rebuilt.followed.ledger.kept["tsk_old"].look_at_ms >= now_ms


def test_what_is_wrong_with_one_log_holds_up_no_other(rebuilt: Rebuilt) -> None:
    broken = finished("tsk_broken")
    rebuilt.followed.write([broken[0], broken[2]])
    rebuilt.followed.write(log_of(task_id="tsk_later"))
    rebuilt.followed.write(finished("tsk_fine"))
    rebuilt.followed.archive.objects["archive/broken"] = b"no logs"
    rebuilt.scan.unreadable = frozenset({"tsk_later"})
    report = rebuilt()
    assert report.failed == {"tsk_broken", "tsk_later", "archive/broken"}
    assert rebuilt.entries.keys() == {"tsk_fine"}


def test_a_short_outage_is_waited_for_and_a_long_one_ends_it(rebuilt: Rebuilt) -> None:
    rebuilt.followed.write(finished())
    rebuilt.scan.outages = 5
    before_ms = rebuilt.followed.clock.now_ms()
    assert rebuilt().stored == 1
    assert rebuilt.followed.clock.now_ms() - before_ms > 1000
    rebuilt.scan.outages = 1000
    with pytest.raises(StoreUnavailableError):
        rebuilt()
    rebuilt.scan.outages = 0
    assert rebuilt().failed == set()


def test_all_that_is_read_is_counted_and_told(rebuilt: Rebuilt) -> None:
    tasks = [finished(f"tsk_{number}") for number in range(10)]
    for log in tasks:
        rebuilt.followed.write(log)
    report = rebuilt()
    assert (report.events, report.logs, report.stored) == (30, 10, 10)
    assert rebuilt.told[-1] == (30, 10)
    assert len(rebuilt.told) > 5
    assert rebuilt.told == sorted(rebuilt.told)


def test_it_reads_no_faster_than_it_may(rebuilt: Rebuilt) -> None:
    for number in range(100):
        rebuilt.followed.write(finished(f"tsk_{number}"))
    rebuilt.rebuild._events_per_second = 10
    before_ms = rebuilt.followed.clock.now_ms()
    rebuilt()
    assert rebuilt.followed.clock.now_ms() - before_ms >= 25_000


def test_tenants_and_agents_are_known_again(rebuilt: Rebuilt) -> None:
    """A mended entry is not enough: lists of the fleet begin with the tenants and agents that were told of by puts."""
    rebuilt.written(*(redriven(f"tsk_{number}")[:3] for number in range(5)), *(finished(f"t_{n}") for n in range(5)))
    before = rebuilt.followed.views.puts
    rebuilt()
    assert rebuilt.followed.views.puts - before >= 2
