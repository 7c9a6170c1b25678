"""From the log to the read model: what one entry says, and keeping entries up with what is written.

    stream   accepted(0) ── started(1) ── step(2) ── … ── succeeded(9)
    entry    queued, head 0                               succeeded, head 9

Invariant: an entry is a pure function of a beginning of its task's log (`entry_of_log`), and a later beginning is
never replaced by an earlier one. So whatever order records come in, however often, and however they are cut into
batches, the entry ends up the same.

Attempts and steps under way change no entry: a task that meets no trouble costs two writes here, or one where it
is over before its first record is seen, whatever it did in between and however long it took. Whoever wants to know
which tasks are running asks the logs of those that have not ended (`services.listing`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.models import ErrorInfo, Status
from flotilla.ports import EventLog, ReadModel
from flotilla.primitives.budget import micros_of
from flotilla.primitives.cause import cause_of
from flotilla.primitives.retention import came_late
from flotilla.read_model import Entry, Spent
from flotilla.retention_ports import Kept, RetentionLedger
from flotilla.services.archive_logs import LogArchiver
from flotilla.services.task_metrics import TaskMetrics
from flotilla.services.watch import look_at_ms
from flotilla.workflows.order import is_run

logger = logging.getLogger("flotilla.projector")

_UNDER_WAY = frozenset({Kind.STARTED, Kind.STEP_RECORDED})
_MESSAGE_CHARACTERS = 400
_UNKNOWN = ErrorInfo("unknown", "", retryable=False)
_REMEMBERED = 4096
_FAULTS = 4
"""How often a task may meet a fault of ours before it is passed over, to be made up for by its next event."""


def settled(events: Sequence[Event]) -> Sequence[Event]:
    """The log as far as the read model follows it: without the attempt and the steps that are under way at its end."""
    end = len(events)
    while end > 1 and events[end - 1].kind in _UNDER_WAY:
        end -= 1
    return events[:end]


def entry_of(state: TaskState) -> Entry:
    """What the read model says of a task. Of a log that is `settled`; `entry_of_log` does both."""
    entry = Entry(
        task_id=state.task_id,
        tenant=state.tenant,
        agent=state.agent,
        lane=state.lane,
        session=state.session,
        status=state.status,
        attempt=state.attempt,
        created_at_ms=state.created_at_ms,
        head_seq=state.head_seq,
        head_at_ms=state.head_at_ms,
        head_hash=state.head_hash,
        next_at_ms=_next_at_ms(state),
        finished_at_ms=state.finished_at_ms,
        look_at_ms=look_at_ms(state),
        is_run=is_run(state.agent),
    )
    if state.workflow is not None:
        entry = replace(entry, run=state.workflow.run, step=state.workflow.step, spent=_spent(state))
    if state.status is not Status.DEAD_LETTERED:
        return entry
    error = state.error or _UNKNOWN
    message = error.message
    if len(message) > _MESSAGE_CHARACTERS:
        message = message[: _MESSAGE_CHARACTERS - 1] + "…"
    return replace(entry, cause=cause_of(state.agent, error.code, error.message), message=message)


def _next_at_ms(state: TaskState) -> int | None:
    match state.status:
        case Status.SCHEDULED:
            return state.due_at_ms
        case Status.WAITING:
            return state.waiting_until_ms
        case _:
            return state.next_attempt_ms


def _spent(state: TaskState) -> Spent | None:
    usage = state.usage
    if not usage.get("model_calls"):
        return None
    return Spent(
        usage["model_calls"],
        usage.get("input_tokens", 0),
        usage.get("output_tokens", 0),
        micros_of(usage.get("cost_usd", 0.0)),
    )


def entry_of_log(events: Sequence[Event]) -> Entry:
    """What the read model says of the task whose whole log this is.

    Raises:
        CorruptLogError: The log breaks its own rules.
    """
    return entry_of(fold(settled(events)))


@dataclass(frozen=True, slots=True)
class _Projected:
    """A task's log, as far as it is followed, and what follows from it.

    Attributes:
        since_seq: The first event of it that is new.
    """

    log: Sequence[Event]
    entry: Entry
    since_seq: int


class Projector:
    """Keeps the read model and the archive up with the log.

    Args:
        log: The event log, read where a batch does not hold the whole of a task's.
        views: The read model.
        archiver: Takes finished logs.
        ledger: Told of tasks that go on so late that their log has to be kept longer.
        retention_days: How long a finished task's log is promised to be kept.
        metrics: Counts what the logs say, once an entry follows it; None counts nothing.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        views: ReadModel,
        archiver: LogArchiver,
        ledger: RetentionLedger,
        retention_days: int,
        metrics: TaskMetrics | None = None,
    ) -> None:
        self._log = log
        self._views = views
        self._archiver = archiver
        self._ledger = ledger
        self._retention_days = retention_days
        self._metrics = metrics
        self._followed: dict[str, int] = {}
        self._faults: dict[str, int] = {}

    async def project(self, events: Iterable[Event]) -> frozenset[str]:
        """Bring the entries of the tasks that `events` tell of up to them.

        Args:
            events: Any events, of any tasks, in any order, whether they were seen before or not.

        Returns:
            Ids of the tasks whose entries may not be up to them: a store did not answer.
        """
        by_task: dict[str, dict[int, Event]] = {}
        for event in events:
            by_task.setdefault(event.task_id, {})[event.seq] = event
        wanted = {task_id: found for task_id, found in by_task.items() if self._tells(task_id, found)}
        logs = await asyncio.gather(*(self._projected(task_id, found) for task_id, found in wanted.items()))
        ready = [found for found in logs if isinstance(found, _Projected)]
        keys = await self._archiver.archive([each.log for each in ready if each.entry.status.terminal])
        stored = await asyncio.gather(*(self._store(each, keys.get(each.entry.task_id)) for each in ready))
        unread = {task_id for task_id, found in zip(wanted, logs, strict=True) if isinstance(found, RetryableError)}
        return frozenset(unread | {each.entry.task_id for each, done in zip(ready, stored, strict=True) if not done})

    def _tells(self, task_id: str, found: dict[int, Event]) -> bool:
        """Whether there is anything in it that an entry follows, and that this process has not followed yet."""
        telling = [seq for seq, event in found.items() if event.kind not in _UNDER_WAY]
        return bool(telling) and max(telling) > self._followed.get(task_id, -1)

    def _new_since(self, task_id: str, found: dict[int, Event]) -> int:
        telling = min(seq for seq, event in found.items() if event.kind not in _UNDER_WAY)
        return max(telling, self._followed.get(task_id, -1) + 1)

    async def _projected(self, task_id: str, found: dict[int, Event]) -> _Projected | RetryableError | None:
        """The task as its log tells it; None where there is nothing to be projected."""
        try:
            events = [found[seq] for seq in sorted(found)]
            if events[0].seq != 0 or events[-1].seq != len(events) - 1:
                events = await self._log.read(task_id)
                if not events or events[0].seq != 0:
                    return None  # retention has begun to drop it: the record is older than the log
            events = list(settled(events))
            return _Projected(events, entry_of(fold(events)), self._new_since(task_id, found))
        except RetryableError as error:
            logger.warning("log not read", extra={"task_id": task_id, "code": error.code, "error": error.message})
            return error
        except CorruptLogError as error:
            # No later try can make it whole. It is for a person to look at, and must not hold up the others.
            logger.error("log corrupt, not projected", extra={"task_id": task_id, "error": error.message})
            return None
        except Exception:
            logger.exception("task not projected", extra={"task_id": task_id})
            return None if self._given_up(task_id) else RetryableError("a fault of the projector")

    def _given_up(self, task_id: str) -> bool:
        """After a fault of our own: it may be passing, but if it is not, it must not hold up everybody else's tasks."""
        self._faults[task_id] = self._faults.get(task_id, 0) + 1
        if self._faults[task_id] < _FAULTS:
            return False
        del self._faults[task_id]
        return True

    async def _store(self, projected: _Projected, archive_key: str | None) -> bool:
        entry = replace(projected.entry, archive_key=archive_key)
        try:
            if not entry.status.terminal and came_late(entry.created_at_ms, entry.head_at_ms, self._retention_days):
                await self._ledger.remember(Kept(entry.task_id, entry.tenant, entry.created_at_ms, entry.head_at_ms))
            stored = await self._views.put(entry)
        except RetryableError as error:
            logger.warning("entry not stored", extra={"task_id": entry.task_id, "code": error.code})
            return False
        except Exception:
            logger.exception("task not projected", extra={"task_id": entry.task_id})
            return self._given_up(entry.task_id)
        if stored and self._metrics is not None:
            # Where an entry says as much already, whoever stored it has counted it.
            self._metrics.tell(projected.log, projected.since_seq)
        self._follow(entry)
        return True

    def _follow(self, entry: Entry) -> None:
        """Remember what is stored: a log that was read may be ahead of the stream, which then brings nothing new."""
        self._followed.pop(entry.task_id, None)
        self._followed[entry.task_id] = entry.head_seq
        if len(self._followed) > _REMEMBERED:
            del self._followed[next(iter(self._followed))]
