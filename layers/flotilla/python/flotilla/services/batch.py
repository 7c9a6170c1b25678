"""One batch of messages: different groups at once, each group in order, one suspect last and alone.

Invariant: a message is reported as done only when its task ended or it holds none; a failure
holds back the rest of its own group, in order, and nothing else.

Who shared a process with a task that killed it is a suspect as much as that task. So each of them gets
a process to itself: this one takes one, when nothing of the rest of its batch depends on it any more,
and the others go back at once, to other workers or to the next invocation. None waits for another's lease.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.errors import RetryableError, UnknownAgentError, UnreadableMessageError
from flotilla.models import Delivery, TaskMessage
from flotilla.primitives.lease import GRACE_SECONDS, SKEW_SECONDS
from flotilla.services.attempt import AttemptRunner
from flotilla.services.attempt_tools import AttemptTools, Invocation
from flotilla.services.outcome import Again, Done, Outcome, RunAlone, after_a_fault
from flotilla.services.verdict import UNAVAILABLE_RETRY_SECONDS
from flotilla.workflows.order import StepOrder, read_wanted

logger = logging.getLogger("flotilla.worker")

_UNKNOWN_AGENT_RETRY_SECONDS = 30

_UNKNOWN_AGENT_RECEIVES = 10
"""So often an order is kept for an agent that nobody has: some minutes, longer than a deployment takes to reach all
workers. Unlike a task's, its agent was checked by nobody: it may stand in the input of a run, and be misspelt."""


@dataclass(slots=True)
class BatchResult:
    """What became of the messages.

    Attributes:
        done: To be deleted.
        again: To be kept; their visibility is set.
    """

    done: list[Delivery] = field(default_factory=list)
    again: list[Delivery] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Readable:
    """A delivery that asks for a task, or for one to be made and done, with what is known of its agent."""

    delivery: Delivery
    wanted: TaskMessage | StepOrder
    spec: AgentSpec


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A delivery that asks for nothing that is known."""

    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A delivery for an agent this worker does not have: it is older than the API that took the task.

    Attributes:
        order: It is a workflow's.
    """

    delivery: Delivery
    order: bool


_Item = _Readable | _Unreadable | _Unknown


class BatchService:
    """Runs batches."""

    def __init__(self, tools: AttemptTools) -> None:
        self._tools = tools

    async def run(self, deliveries: Sequence[Delivery], invocation: Invocation) -> BatchResult:
        """Run a batch and say which messages are done."""
        result = await _Batch(self._tools, invocation).run(deliveries)
        await invocation.roster.close()
        return result


class _Batch:
    """The state of one batch while it runs."""

    def __init__(self, tools: AttemptTools, invocation: Invocation) -> None:
        self._tools = tools
        self._invocation = invocation
        self._runner = AttemptRunner(tools, invocation)
        self._result = BatchResult()

    async def run(self, deliveries: Sequence[Delivery]) -> BatchResult:
        by_group: dict[str, list[_Item]] = {}
        for delivery in deliveries:
            by_group.setdefault(delivery.group, []).append(_read(delivery, self._tools.catalog))
        groups = list(by_group.values())
        self._shortened = asyncio.ensure_future(self._shorten_visibility(groups))
        solo = len(groups) == 1
        suspects: list[Sequence[_Item]] = [] if solo else await self._suspects(groups)
        others = [group for group in groups if group not in suspects]
        if suspects and not self._time_for_both(others, suspects[0]):
            # Else a suspect on a lane full of long tasks would be put off for ever. Nothing of the others has
            # begun; another worker takes them.
            await self._leave_to_others(others)
            others = []
        await self._leave_to_others(suspects[1:])
        unforeseen = await asyncio.gather(*(self._run_group(group, solo=solo) for group in others))
        suspects = [*suspects[:1], *filter(None, unforeseen)]
        await self._leave_to_others(suspects[1:])
        for suspect in suspects[:1]:
            # Else what is behind them in their sessions would wait as long as they do if this one dies.
            await self._tools.receipts.delete(self._result.done)
            await self._run_group(suspect, solo=True)
        await self._shortened
        return self._result

    async def _suspects(self, groups: Sequence[Sequence[_Item]]) -> list[Sequence[_Item]]:
        """The groups whose first task's last worker died over it."""
        repeated = [group for group in groups if group[0].delivery.receive_count > 1]
        found = await asyncio.gather(*(self._is_suspect(group[0]) for group in repeated))
        return [group for group, suspect in zip(repeated, found, strict=True) if suspect]

    async def _is_suspect(self, item: _Item) -> bool:
        try:
            return isinstance(item, _Readable) and await self._runner.is_suspect(item.wanted.task_id)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, its turn will tell
            return False

    def _time_for_both(self, others: Sequence[Sequence[_Item]], suspect: Sequence[_Item]) -> bool:
        left = (self._invocation.ends_ms - self._tools.clock.now_ms()) / 1000
        return max(map(_seconds_for, others), default=0.0) + _seconds_for(suspect[:1]) <= left

    async def _run_group(self, group: Sequence[_Item], *, solo: bool) -> Sequence[_Item]:
        """Run a group in order; returns what of it must run alone."""
        for position, item in enumerate(group):
            match await self._run_item(item, solo=solo):
                case Done(hold_group_seconds):
                    self._result.done.append(item.delivery)
                    if hold_group_seconds and group[position + 1 :]:
                        await self._put_off(group[position + 1 :], hold_group_seconds)
                        break
                case RunAlone():
                    return group[position:]
                case Again(after_seconds):
                    await self._put_off(group[position:], after_seconds)
                    break
        return ()

    async def _leave_to_others(self, groups: Iterable[Sequence[_Item]]) -> None:
        """Give groups of which nothing has begun back at once."""
        for group in groups:
            await self._put_off(group, 0)

    async def _put_off(self, rest: Sequence[_Item], after_seconds: int) -> None:
        """Keep what is left of a group. It becomes visible together, so that it is handed out in order."""
        deliveries = [item.delivery for item in rest]
        self._result.again.extend(deliveries)
        await self._shortened  # or its answer could come after ours and undo it
        await self._tools.receipts.set_visibility([(delivery, after_seconds) for delivery in deliveries])

    async def _run_item(self, item: _Item, *, solo: bool) -> Outcome:
        match item:
            case _Unreadable(delivery, reason):
                return await self._put_aside(delivery, reason)
            case _Unknown(delivery, order):
                logger.warning("agent unknown to this worker", extra={"message_id": delivery.message_id})
                if order and delivery.receive_count >= _UNKNOWN_AGENT_RECEIVES:
                    # The triage tells its state, or accepts it where its agent has come to be there.
                    return await self._put_aside(delivery, "no agent of that name is deployed")
                return after_a_fault(delivery.receive_count, _UNKNOWN_AGENT_RETRY_SECONDS)
            case _Readable(delivery, wanted, spec):
                try:
                    outcome = await self._runner.run(delivery, wanted, spec, solo=solo)
                except Exception:
                    # A fault of our own. It must not take the results of the rest of the batch with it.
                    logger.exception("attempt broke off", extra={"message_id": delivery.message_id})
                    return after_a_fault(delivery.receive_count, UNAVAILABLE_RETRY_SECONDS)
                if isinstance(outcome, str):
                    return await self._put_aside(delivery, outcome)
                return outcome

    async def _put_aside(self, delivery: Delivery, reason: str) -> Outcome:
        try:
            await self._tools.receipts.put_aside(delivery, reason)
        except RetryableError as error:
            logger.error("not put aside", extra={"message_id": delivery.message_id, "error": error.message})
            return after_a_fault(delivery.receive_count, UNAVAILABLE_RETRY_SECONDS)
        logger.error("message put aside", extra={"message_id": delivery.message_id, "reason": reason})
        return Done()

    async def _shorten_visibility(self, groups: Sequence[Sequence[_Item]]) -> None:
        """Let the messages of a worker that dies come back when its leases have ended.

        The queue's own visibility timeout is six times the function's, to outlast throttling; waiting
        that long after a crash would be waste.
        """
        left = (self._invocation.ends_ms - self._tools.clock.now_ms()) / 1000 + SKEW_SECONDS
        visibility = math.ceil(min(_seconds_needed(groups), left))
        await self._tools.receipts.set_visibility([(item.delivery, visibility) for group in groups for item in group])


def _read(delivery: Delivery, catalog: Catalog) -> _Item:
    try:
        wanted = read_wanted(delivery.body)
    except UnreadableMessageError as error:
        return _Unreadable(delivery, error.message)
    try:
        return _Readable(delivery, wanted, catalog.get(wanted.agent))
    except UnknownAgentError:
        return _Unknown(delivery, isinstance(wanted, StepOrder))


def _seconds_for(group: Sequence[_Item]) -> float:
    """The longest a group can take."""
    return sum(item.spec.timeout_seconds + GRACE_SECONDS for item in group if isinstance(item, _Readable))


def _seconds_needed(groups: Sequence[Sequence[_Item]]) -> float:
    """The longest this batch can take.

    Groups that were handed out before may be suspects, of which one runs after the others.
    """
    longest = max(map(_seconds_for, groups), default=0.0)
    repeated = [group for group in groups if group[0].delivery.receive_count > 1]
    last = max(map(_seconds_for, repeated), default=0.0) if len(groups) > 1 else 0.0
    return longest + last + SKEW_SECONDS
