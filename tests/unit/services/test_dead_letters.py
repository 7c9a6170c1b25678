"""Many dead letters: counted by cause, redriven at a rate, and what is said of each is what its log said."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind
from flotilla.models import Status
from flotilla.read_model import UNREADABLE, DeadFilter, EntryPage, UnreadableMessage
from flotilla.services.dead_letters import (
    MAX_COUNTED,
    MAX_GROUPED,
    MAX_ITEMS,
    DeadLetterService,
    Outcome,
    RedriveOrder,
    RedriveReport,
)
from flotilla.services.project import entry_of_log
from flotilla.services.redrive import Correction
from tests.fakes import ManualClock, MemoryEventLog
from tests.fakes.views import MemoryReadModel
from tests.logs import START_MS, LogBuilder
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.test_redrive import redriver


@dataclass
class Office:
    """Dead letters of a fleet, and who looks after them."""

    fleet: Fleet = field(default_factory=lambda: Fleet(sample_agents.ALL))
    views: MemoryReadModel = field(default_factory=MemoryReadModel)
    log: Any = None
    catalog: Any = None
    numbers: int = 0

    def service(self) -> DeadLetterService:
        ports = {"log": self.log or self.fleet.log, "catalog": self.catalog or self.fleet.catalog}
        return DeadLetterService(read_model=self.views, redrive=redriver(self.fleet, **ports), clock=self.fleet.clock)

    def dead(self, message: str = "it broke", *, agent: str = "sample.echo", tenant: str = "acme") -> str:
        """A dead letter, in the log and in the read model."""
        self.numbers += 1
        builder = LogBuilder(f"tsk_{self.numbers:032x}")
        builder.add(Kind.ACCEPTED, agent=agent, tenant=tenant)
        builder.add(Kind.STARTED, attempt=1)
        error = {"code": "broken", "message": message, "retryable": False}
        builder.add(Kind.DEAD_LETTERED, attempt=1, error=error)
        self.fleet.log.logs[builder.task_id] = {event.seq: event for event in builder.events}
        self.project(builder.task_id)
        return builder.task_id

    def project(self, task: str) -> None:
        run(self.views.put(entry_of_log(run(self.fleet.log.read(task)))))

    def unreadable(self, reason: str, number: int = 0) -> None:
        message = UnreadableMessage(f"m{number}", "standard", "{", reason, START_MS)
        run(self.views.put_unreadable(message))

    def redrive(self, wanted: Any, **options: Any) -> RedriveReport:
        order: dict[str, Any] = {
            "actor": "key:operator",
            "request_id": "r1",
            "wanted": wanted,
            "correction": None,
            "dry_run": False,
            "rate_per_second": 100.0,
            "cursor": None,
            "give_up_ms": self.fleet.clock.now_ms() + 20_000,
        }
        report: RedriveReport = run(self.service().redrive(RedriveOrder(**(order | options))))
        return report

    def all_of(self, wanted: Any, **options: Any) -> list[RedriveReport]:
        """Calls until nothing remains."""
        reports = [self.redrive(wanted, **options)]
        while reports[-1].next_cursor is not None:
            reports.append(self.redrive(wanted, cursor=reports[-1].next_cursor, **options))
        return reports


def outcomes(*reports: RedriveReport) -> dict[str, str]:
    return {item.task_id: item.outcome.value for report in reports for item in report.items}


@pytest.fixture
def office(fleet: Fleet) -> Office:
    return Office(fleet)


def test_dead_letters_that_are_alike_are_one_group(office: Office) -> None:
    for number in range(3):
        newest = office.dead(f"order {number} of /tmp/{number} was not found")
    other = office.dead("another matter", agent="sample.plain")
    office.unreadable("not a task message: task_id", 1)
    office.unreadable("not a task message: task_id", 2)
    groups = run(office.service().groups(give_up_ms=office.fleet.clock.now_ms() + 20_000))
    assert groups.complete
    found = {(group.agent, group.count, group.sample_task_id) for group in groups.items}
    assert found == {("sample.echo", 3, newest), ("sample.plain", 1, other), (None, 2, None)}
    assert [group.count for group in groups.items] == [3, 2, 1], "the largest first"
    assert groups.items[0].cause.text == "broken: order <n> of <path> was not found"
    listed = run(office.service().page(DeadFilter(cause=groups.items[0].cause.fingerprint), limit=10, cursor=None))
    assert len(listed.items) == 3


class ManyLetters(MemoryReadModel):
    """More dead letters than anybody counts."""

    def __init__(self, page: EntryPage) -> None:
        super().__init__()
        self._items = page.items
        self.calls = 0

    async def dead(self, wanted: DeadFilter, *, limit: int, cursor: str | None) -> EntryPage:
        self.calls += 1
        return EntryPage(self._items * limit, "more")


def test_counting_is_bounded_and_says_so(office: Office) -> None:
    office.dead()
    office.views = ManyLetters(run(office.views.dead(DeadFilter(), limit=1, cursor=None)))
    groups = run(office.service().groups(give_up_ms=office.fleet.clock.now_ms() + 20_000))
    assert not groups.complete
    assert groups.items[0].count == MAX_GROUPED
    report = office.redrive(DeadFilter(), dry_run=True)
    assert report.remaining == MAX_COUNTED
    assert len(report.items) == MAX_ITEMS
    assert office.views.calls < 150


def test_counting_ends_in_time_and_says_so(office: Office) -> None:
    for _ in range(3):
        office.dead()
    office.views = MemoryReadModel(looks_at=1)
    for task in office.fleet.log.logs:
        office.project(task)
    groups = run(office.service().groups(give_up_ms=office.fleet.clock.now_ms()))
    assert (groups.complete, groups.items[0].count) == (False, 1)


def test_all_that_a_filter_wants_is_redriven_and_nothing_else(office: Office) -> None:
    wanted = [office.dead("this one"), office.dead("this one", tenant="umbrella")]
    left = office.dead("another")
    office.unreadable("not a task message")
    [cause] = {entry.cause.text for entry in office.views.entries.values() if entry.task_id in wanted}
    report = office.redrive(DeadFilter(agent="sample.echo", cause=cause))
    assert outcomes(report) == dict.fromkeys(wanted, "redriven")
    assert (report.redriven, report.remaining, report.next_cursor) == (2, 0, None)
    assert {item.cause for item in report.items} == {cause}
    assert office.fleet.kinds(left)[-1] == "dead_lettered"
    assert {message.task_id for message in office.fleet.lanes.sent.values()} == set(wanted)
    assert run(office.fleet.log.read(wanted[0]))[-1].actor == "key:operator"


def test_a_dry_run_says_what_would_be_done_and_does_nothing(office: Office) -> None:
    dead = [office.dead() for _ in range(3)]
    gone, running = office.dead(), office.dead()
    run(redriver(office.fleet).redrive(running, actor="key:k", request_id="r"))
    del office.fleet.log.logs[gone]
    sends, appends = office.fleet.lanes.sends, office.fleet.log.appends
    for wanted in (DeadFilter(), [*dead, gone, running]):
        report = office.redrive(wanted, dry_run=True)
        assert outcomes(report) == dict.fromkeys(dead, "would_redrive") | {gone: "not_found", running: "nothing"}
        assert report.redriven == 0
    assert (office.fleet.lanes.sends, office.fleet.log.appends) == (sends, appends)


def test_tasks_by_id_tell_their_agent_and_cause_of_their_logs(office: Office) -> None:
    task = office.dead("number 5")
    [item] = office.redrive([task]).items
    assert (item.agent, item.cause, item.outcome) == ("sample.echo", "broken: number <n>", Outcome.REDRIVEN)
    [again] = office.redrive([task]).items
    assert again.outcome is Outcome.NOTHING
    [none] = office.redrive(["tsk_" + "f" * 32]).items
    assert (none.agent, none.cause, none.outcome) == (None, None, Outcome.NOT_FOUND)


def test_redriving_what_the_read_model_still_shows_does_nothing(office: Office) -> None:
    """It is a moment behind. The second operator is told that there was nothing to do."""
    task = office.dead()
    assert office.redrive(DeadFilter()).redriven == 1
    assert outcomes(office.redrive(DeadFilter())) == {task: "nothing"}
    assert office.fleet.kinds(task).count("redriven") == 1


def test_a_task_that_died_again_meanwhile_is_not_redriven_by_the_same_order(office: Office) -> None:
    task = office.dead()
    stale = office.views.entries[task]
    assert office.redrive(DeadFilter()).redriven == 1
    builder = LogBuilder(task)
    builder.events = run(office.fleet.log.read(task))
    builder.add(Kind.DEAD_LETTERED)
    office.fleet.log.logs[task] = {event.seq: event for event in builder.events}
    office.views.entries[task] = stale
    assert outcomes(office.redrive(DeadFilter())) == {task: "nothing"}
    office.project(task)
    assert outcomes(office.redrive(DeadFilter())) == {task: "redriven"}


def test_a_corrected_input_is_taken(office: Office) -> None:
    task = office.dead()
    office.redrive([task], correction=Correction({"value": "right"}))
    assert run(office.fleet.state(task)).input.inline == {"value": "right"}


def test_one_that_fails_does_not_stop_the_others(office: Office) -> None:
    class OneSilent(MemoryEventLog):
        async def read(self, task_id: str) -> list[Event]:
            if task_id == silent:
                raise RetryableError("events-table-x: refused")
            return await super().read(task_id)

    silent, corrupt, gone, fine = (office.dead(agent=name) for name in ("sample.echo",) * 2 + ("gone", "sample.echo"))
    del office.fleet.log.logs[corrupt][1]
    office.log = OneSilent()
    office.log.logs = office.fleet.log.logs
    for dry_run, done in ((True, "would_redrive"), (False, "redriven")):
        report = office.redrive(DeadFilter(), dry_run=dry_run)
        assert outcomes(report) == {silent: "failed", corrupt: "failed", gone: "failed", fine: done}
        details = {item.task_id: item.detail for item in report.items}
        assert details[gone] == "Its agent is no longer deployed."
        assert details[fine] is None
        assert "events-table-x" not in str(details)


class PatientClock(ManualClock):
    """Time passes when nobody has anything left to do."""

    async def sleep(self, seconds: float) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        await super().sleep(seconds)


@pytest.mark.parametrize("rate", [0.1, 1.0, 7.0, 100.0])
@pytest.mark.parametrize("by_id", [True, False])
def test_never_faster_than_asked_for_within_a_call_and_from_one_to_the_next(rate: float, by_id: bool) -> None:
    office = Office(Fleet(sample_agents.ALL, clock=PatientClock()))
    tasks = [office.dead() for _ in range(40 if rate > 1 else 9)]
    reports = office.all_of(tasks if by_id else DeadFilter(), rate_per_second=rate)
    times = sorted(run(office.fleet.log.read(task))[-1].at_ms for task in tasks)
    assert outcomes(*reports) == dict.fromkeys(tasks, "redriven")
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= 1000 / rate - 1
    assert sum(report.redriven for report in reports) == len(tasks)


def test_a_call_ends_in_time_and_says_how_many_remain(office: Office) -> None:
    tasks = [office.dead() for _ in range(50)]
    began_ms = office.fleet.clock.now_ms()
    for wanted in (DeadFilter(), tasks):
        report = office.redrive(wanted, rate_per_second=1.0, give_up_ms=began_ms + 20_000)
        assert office.fleet.clock.now_ms() - began_ms <= 20_000
        assert len(report.items) == 21
        assert report.remaining == 29
        assert report.next_cursor
        office.fleet.clock.advance(-20)


class SlowLog(MemoryEventLog):
    """A log that takes its time."""

    def __init__(self, office: Office) -> None:
        super().__init__()
        self.logs = office.fleet.log.logs
        self._clock = office.fleet.clock

    async def read(self, task_id: str) -> list[Event]:
        self._clock.advance(3)
        return await super().read(task_id)


@pytest.mark.parametrize("by_id", [True, False])
def test_slow_stores_do_not_make_a_call_too_long_and_each_call_gets_on(office: Office, by_id: bool) -> None:
    tasks = [office.dead() for _ in range(30)]
    office.log = SlowLog(office)
    wanted = tasks if by_id else DeadFilter()
    report = office.redrive(wanted, give_up_ms=office.fleet.clock.now_ms() + 10_000)
    assert 0 < len(report.items) < 30
    assert len(report.items) + report.remaining == 30
    late = office.redrive(wanted, give_up_ms=office.fleet.clock.now_ms() - 5_000, cursor=report.next_cursor)
    assert len(late.items) == 1, "one at least"


@pytest.mark.parametrize("cursor", ["", "x", "-1", "4", "٣", "1e0", "9" * 30])
def test_a_cursor_that_nobody_gave_is_refused(office: Office, cursor: str) -> None:
    tasks = [office.dead() for _ in range(3)]
    with pytest.raises(ValueError, match="cursor"):
        office.redrive(tasks, cursor=cursor)
    with pytest.raises(ValueError, match=r"."):
        office.redrive(DeadFilter(), cursor=cursor)
    with pytest.raises(ValueError, match=r"."):
        office.redrive(DeadFilter(), cursor="." + (cursor or "x"))


@settings(max_examples=40, deadline=None)
@given(
    letters=st.lists(st.sampled_from(["a", "b", "gone", "finished", "unreadable"]), max_size=12),
    rate=st.sampled_from([0.2, 1.0, 50.0]),
    looks_at=st.integers(1, 5),
    seconds=st.integers(0, 12),
    cause=st.sampled_from([None, "broken: a"]),
)
def test_calls_one_after_the_other_redrive_each_that_fits_once(
    letters: list[str], rate: float, looks_at: int, seconds: int, cause: str | None
) -> None:
    office = Office(views=MemoryReadModel(looks_at=looks_at))
    expected: Counter[str] = Counter()
    for number, letter in enumerate(letters):
        if letter == "unreadable":
            office.unreadable("no", number)
            continue
        task = office.dead(letter if letter in "ab" else "a")
        fits = cause is None or letter != "b"
        match letter:
            case "gone":
                del office.fleet.log.logs[task]
            case "finished":
                run(redriver(office.fleet).redrive(task, actor="key:k", request_id="r"))
            case _:
                expected["redriven"] += fits
    reports, cursor = [], None
    for _ in range(200):
        give_up_ms = office.fleet.clock.now_ms() + seconds * 1000
        report = office.redrive(DeadFilter(cause=cause), rate_per_second=rate, cursor=cursor, give_up_ms=give_up_ms)
        reports.append(report)
        cursor = report.next_cursor
        if cursor is None:
            break
    assert cursor is None, "it ends"
    assert sum(report.redriven for report in reports) == expected["redriven"]
    for task, log in office.fleet.log.logs.items():
        assert sum(event.kind is Kind.REDRIVEN for event in log.values()) <= 1, task


def test_two_operators_at_once_redrive_each_task_once(office: Office) -> None:
    tasks = [office.dead() for _ in range(12)]

    async def both() -> list[RedriveReport]:
        give_up_ms = office.fleet.clock.now_ms() + 20_000
        orders = [
            RedriveOrder(f"key:{name}", name, DeadFilter(), None, False, 100.0, None, give_up_ms) for name in ("a", "b")
        ]
        return await asyncio.gather(*(office.service().redrive(order) for order in orders))

    one, other = run(both())
    assert one.redriven + other.redriven == len(tasks)
    assert all(office.fleet.kinds(task).count("redriven") == 1 for task in tasks)
    assert {run(office.fleet.state(task)).status for task in tasks} == {Status.QUEUED}


def test_messages_that_stand_for_no_task_can_be_listed_alone(office: Office) -> None:
    office.dead()
    office.unreadable("no")
    page = run(office.service().page(DeadFilter(agent=UNREADABLE), limit=10, cursor=None))
    assert [type(item) for item in page.items] == [UnreadableMessage]
