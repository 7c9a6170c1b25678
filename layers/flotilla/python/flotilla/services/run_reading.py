"""What is known of a run of a workflow: its steps with their tasks, what it used, how far its maps have got.

The run's own log says how it stands. Of its tasks the read model says which there are, and of those that have ended how
they ended; it does not follow attempts, so what runs and what waits is read from logs, of a bounded number. A run of
more tasks than are counted is told in part, and says so.

Cost: a query of a run's entries (a read unit for about 25 of them, half of what a table's costs), and a read of each
log that is looked at.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flotilla.errors import RetryableError
from flotilla.events import TaskState
from flotilla.models import Status
from flotilla.ports import ReadModel
from flotilla.read_model import Entry, RunFilter, RunsFilter, Spent
from flotilla.services.listing import Listed, ListService, TaskPage
from flotilla.services.project import entry_of
from flotilla.services.run_state import execution_name
from flotilla.workflow_ports import Executions, MapProgress
from flotilla.workflows.declaration import StepSpec, Workflow
from flotilla.workflows.order import workflow_of

logger = logging.getLogger("flotilla.runs")

MAX_COUNTED = 10_000
"""Tasks of one run that are counted: the newest."""

MAX_READ = 50
"""Logs of tasks under way that are read."""

NEWEST = 20
"""Ids of a step's tasks that are told."""

_PAGE = 1000
_NOTHING = Spent(0, 0, 0, 0)

_LIVELIEST_FIRST = (
    Status.RUNNING,
    Status.RETRYING,
    Status.WAITING,
    Status.PARKED,
    Status.QUEUED,
    Status.SCHEDULED,
)


@dataclass(slots=True)
class StepPicture:
    """A state that asks for tasks, and these.

    Attributes:
        tasks: How many were counted.
        counts: Of them, by status.
        newest: Ids of the newest.
        newest_status: Of the newest of all; None where there is none.
    """

    spec: StepSpec
    tasks: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    newest: list[str] = field(default_factory=list)
    newest_status: Status | None = None

    @property
    def status(self) -> Status | None:
        """That of the liveliest task; of those that have ended that of the newest, or in a map success, if any has.

        None while there is no task.
        """
        living = next((status for status in _LIVELIEST_FIRST if self.counts[status]), None)
        if living is None and self.spec.map is not None and self.counts[Status.SUCCEEDED]:
            return Status.SUCCEEDED
        return living or self.newest_status


@dataclass(frozen=True, slots=True)
class RunPicture:
    """A run.

    Attributes:
        state: As its own log tells it.
        steps: In the order of the definition; then those that the definition no longer has.
        spent: By its tasks that have ended, or whose attempts failed.
        complete: All tasks were counted.
    """

    state: TaskState
    steps: Sequence[StepPicture]
    maps: Sequence[MapProgress]
    spent: Spent
    complete: bool


class RunPage(NamedTuple):
    """A page of runs; with a cursor there may be more, even where there are none."""

    runs: list[Listed]
    next_cursor: str | None


class RunReader:
    """Reads runs.

    Args:
        views: Knows which tasks there are.
        listing: Reads their logs.
        executions: Tells of maps.
        workflows: The deployed workflows.
    """

    def __init__(
        self, *, views: ReadModel, listing: ListService, executions: Executions, workflows: Mapping[str, Workflow]
    ) -> None:
        self._views = views
        self._listing = listing
        self._executions = executions
        self._workflows = workflows

    async def picture(self, state: TaskState, begun_seq: int) -> RunPicture:
        """A run with its steps.

        Args:
            state: The run.
            begun_seq: Number of the event that its newest start begins with.

        Raises:
            RetryableError: A store did not answer.
        """
        entries, complete = await self._entries(state)
        entries = await self._as_they_are(entries)
        workflow = self._workflows.get(workflow_of(state.agent))
        steps = _steps(() if workflow is None else workflow.steps, entries)
        return RunPicture(
            state=state,
            steps=steps,
            maps=await self._maps(state, begun_seq, workflow),
            spent=_added_up(entry.spent for entry in entries),
            complete=complete,
        )

    def fresh(self, state: TaskState) -> RunPicture:
        """A run that has just been accepted: it has no tasks, and nothing is read."""
        workflow = self._workflows.get(workflow_of(state.agent))
        return RunPicture(state, _steps(() if workflow is None else workflow.steps, ()), (), _NOTHING, complete=True)

    async def runs(self, wanted: RunsFilter, limit: int, cursor: str | None) -> RunPage:
        """A page of a tenant's runs, the newest first, each as its log says it is.

        Raises:
            ValueError: The cursor is none of this list's.
            RetryableError: A store did not answer.
        """
        page = await self._views.runs(wanted, limit=limit, cursor=cursor)
        logs = await self._logs(page.items, wanted.tenant)
        return RunPage([run for run in logs if _fits(run.state, wanted)], page.next_cursor)

    async def tasks(self, tenant: str, run: str, *, step: str | None, limit: int, cursor: str | None) -> TaskPage:
        """A page of a run's tasks, the newest first, each as its log says it is.

        Raises:
            ValueError: The cursor is none of this list's.
            RetryableError: A store did not answer.
        """
        page = await self._views.tasks_of_run(RunFilter(tenant, run, step=step), limit=limit, cursor=cursor)
        return TaskPage([task.state for task in await self._logs(page.items, tenant)], page.next_cursor)

    async def _logs(self, items: Iterable[object], tenant: str) -> list[Listed]:
        entries = [entry for entry in items if isinstance(entry, Entry) and entry.tenant == tenant]
        return [found for found in await self._listing.logs(entries) if found is not None]

    async def _entries(self, state: TaskState) -> tuple[list[Entry], bool]:
        """The entries of its newest tasks, the newest first, and whether these are all."""
        wanted = RunFilter(state.tenant, state.task_id)
        found: list[Entry] = []
        cursor: str | None = None
        while len(found) < MAX_COUNTED:
            page = await self._views.tasks_of_run(wanted, limit=min(_PAGE, MAX_COUNTED - len(found)), cursor=cursor)
            found += [entry for entry in page.items if isinstance(entry, Entry)]
            cursor = page.next_cursor
            if cursor is None:
                break
        return found, cursor is None

    async def _as_they_are(self, entries: list[Entry]) -> list[Entry]:
        """The entries, of some that have not ended as the logs tell them now."""
        living = [entry for entry in entries if not entry.status.terminal][:MAX_READ]
        states = await self._listing.states(living)
        now = {state.task_id: entry_of(state) for state in states if state is not None}
        return [now.get(entry.task_id, entry) for entry in entries]

    async def _maps(self, state: TaskState, begun_seq: int, workflow: Workflow | None) -> Sequence[MapProgress]:
        if workflow is None or all(step.map is None for step in workflow.steps):
            return ()
        try:
            return await self._executions.maps(workflow.name, execution_name(state.task_id, begun_seq))
        except RetryableError as error:
            # Good to know, and not worth an answer without all the rest.
            logger.warning("maps unknown", extra={"task_id": state.task_id, "error": error.message})
            return ()


def _steps(specs: Iterable[StepSpec], entries: Sequence[Entry]) -> list[StepPicture]:
    steps = {spec.name: StepPicture(spec) for spec in specs}
    for entry in reversed(entries):
        # Of an earlier version of the definition, perhaps; in the order in which they came.
        steps.setdefault(entry.step or "", StepPicture(StepSpec(entry.step or "", entry.agent)))
    for entry in entries:
        step = steps[entry.step or ""]
        step.tasks += 1
        step.counts[entry.status] += 1
        step.newest_status = step.newest_status or entry.status
        if len(step.newest) < NEWEST:
            step.newest.append(entry.task_id)
    return list(steps.values())


def _added_up(spent: Iterable[Spent | None]) -> Spent:
    total = _NOTHING
    for each in spent:
        if each is not None:
            total = Spent(*(sum(pair) for pair in zip(total, each, strict=True)))
    return total


def _fits(state: TaskState, wanted: RunsFilter) -> bool:
    return wanted.status in (None, state.status) and wanted.finished in (None, state.status.terminal)
