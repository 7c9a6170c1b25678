"""What is told of a run's steps, within the bounds of what is read for it."""

from __future__ import annotations

from collections import Counter

import pytest

from flotilla.events import Kind
from flotilla.models import Status
from flotilla.read_model import Entry, EntryPage, RunFilter, Spent
from flotilla.services import run_reading
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.listing import ListService
from flotilla.services.notices import Notices
from flotilla.services.project import entry_of_log
from flotilla.services.run_reading import RunPicture, RunReader
from flotilla.services.watch import look_at_ms, overdue_at_ms
from flotilla.workflow_ports import ExecutionStatus
from tests.fakes.views import MemoryReadModel
from tests.unit.services.fleet import run
from tests.unit.services.running import WORKFLOWS, Running


@pytest.fixture
def running() -> Running:
    return Running()


def picture(running: Running, run_id: str) -> RunPicture:
    reader = RunReader(
        views=running.views,
        listing=ListService(views=running.views, log=running.log),
        executions=running.executions,
        workflows=WORKFLOWS,
    )
    found: RunPicture = run(reader.picture(running.state(run_id), 0))
    return found


def test_an_entry_says_to_which_run_and_step_a_task_belongs(running: Running) -> None:
    run_id = running.started()
    usage = {"model_calls": 2, "input_tokens": 10, "output_tokens": 3, "cost_usd": 0.000123, "duration_ms": 5}
    task_id = running.task(run_id, "Extract", 1, Kind.STARTED, (Kind.SUCCEEDED, {"usage": usage}))
    entry = entry_of_log(running.events(task_id))
    assert (entry.run, entry.step, entry.spent, entry.is_run) == (run_id, "Extract", Spent(2, 10, 3, 123), False)
    own = entry_of_log(running.events(run_id))
    assert (own.run, own.step, own.spent, own.is_run) == (None, None, None, True)
    assert not entry_of_log(running.events(running.task(run_id, "Extract", 2))).spent


def test_the_logs_of_a_bounded_number_of_living_tasks_are_read(running: Running) -> None:
    run_id = running.started()
    for number in range(run_reading.MAX_READ + 10):
        running.task(run_id, "Extract", number, Kind.STARTED, projected=False)
    running.project()
    running.log.reads = 0
    (extract, _) = picture(running, run_id).steps
    assert running.log.reads == run_reading.MAX_READ
    assert extract.counts == Counter({Status.RUNNING: run_reading.MAX_READ, Status.QUEUED: 10})
    assert extract.status is Status.RUNNING


def test_no_log_is_read_of_what_has_ended(running: Running) -> None:
    run_id = running.started()
    for number in range(30):
        running.task(run_id, "Extract", number, Kind.STARTED, Kind.SUCCEEDED, projected=False)
    running.project()
    running.log.reads = 0
    assert picture(running, run_id).steps[0].counts == Counter({Status.SUCCEEDED: 30})
    assert running.log.reads == 0


class Endless(MemoryReadModel):
    """The read model of a run with more tasks than anybody counts."""

    async def tasks_of_run(self, wanted: RunFilter, *, limit: int, cursor: str | None) -> EntryPage:
        begin = int(cursor or 0)
        entries: list[Entry] = [
            Entry(
                task_id=f"tsk_{number}",
                tenant=wanted.tenant,
                agent="document.extract",
                lane="standard",
                session=None,
                status=Status.SUCCEEDED,
                attempt=1,
                created_at_ms=10**9 - number,
                head_seq=2,
                head_at_ms=10**9,
                finished_at_ms=10**9,
                run=wanted.run,
                step="Extract",
            )
            for number in range(begin, begin + limit)
        ]
        return EntryPage([*entries], str(begin + limit))


def test_a_run_of_very_many_tasks_is_counted_in_part_and_says_so() -> None:
    running = Running(views=Endless())
    found = picture(running, running.started())
    assert (found.complete, found.steps[0].tasks) == (False, run_reading.MAX_COUNTED)
    assert found.steps[0].newest == [f"tsk_{number}" for number in range(run_reading.NEWEST)]


def test_a_run_is_looked_after_by_its_deadline_or_by_the_sweeps(running: Running) -> None:
    now_ms = running.clock.now_ms()
    plain = running.state(running.started())
    assert (look_at_ms(plain), overdue_at_ms(plain)) == (None, now_ms + 600_000)
    soon = running.state(running.started(deadline_ms=now_ms + 5000))
    assert (look_at_ms(soon), overdue_at_ms(soon)) == (now_ms + 5000, now_ms + 5000)
    late = running.state(running.started(deadline_ms=now_ms + 10**9))
    assert (look_at_ms(late), overdue_at_ms(late)) == (now_ms + 600_000, now_ms + 600_000)


@pytest.mark.parametrize(
    ("status", "looked_after"),
    [
        (ExecutionStatus.SUCCEEDED, False),
        (ExecutionStatus.FAILED, True),
        (ExecutionStatus.TIMED_OUT, True),
        (ExecutionStatus.ABORTED, True),
    ],
)
def test_a_run_that_may_have_left_tasks_is_looked_after_once_more(
    running: Running, status: ExecutionStatus, looked_after: bool
) -> None:
    run_id = running.started()
    running.end(run_id, status)
    assert look_at_ms(running.state(run_id)) == (running.clock.now_ms() + 60_000 if looked_after else None)
    assert overdue_at_ms(running.state(run_id)) is None


def test_a_notice_of_a_step_s_task_names_run_and_step_and_no_token(running: Running) -> None:
    run_id = running.started()
    task_id = running.task(run_id, "Extract", 1, Kind.STARTED, Kind.SUCCEEDED)
    notices = Notices(ClaimCheck(running.payloads, 0))
    _, notice = run(notices.make(running.events(task_id), 2))
    assert f'"workflow":{{"run":"{run_id}","step":"Extract"}}' in notice.payload
    assert "token-1" not in notice.payload
    running.end(run_id, ExecutionStatus.SUCCEEDED, output="1")
    _, own = run(notices.make(running.events(run_id), 1))
    assert (own.type, own.attributes["agent"]) == ("task.succeeded", "workflow:analysis")
    assert '"workflow":' not in own.payload
