"""What became of the messages in the dead letter queues: each ends as a fact in a log or in the read model.

SQS moves a message there when it was received too often, whatever the reason; a worker moves one
there that it cannot read. Neither says that the task is lost:

    received too often                the task goes on with a fresh message: `parked`, reason `receive_limit`
    and that message as well,         `dead_lettered`, cause `undeliverable`
      with nothing in between
    a workflow's order, not accepted  accepted here, and its task sent to its lane
    stands for no task                kept in the read model, for a person to look at
    its task has ended                nothing; but where a worker may have died before it had done what follows from
                                      the end, the message goes back to where that is done

Invariant: a message is given up only when the log, or the read model, says what it was; and no task
dies because its messages were held back. Whatever dies in between leaves the message where it is.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from flotilla import trace_context
from flotilla.agents.catalog import Catalog
from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, RetryableError, UnknownAgentError, UnreadableMessageError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.models import Delivery, ErrorInfo, Status, TaskMessage
from flotilla.ports import EventLog, LaneReceipts, PayloadStore, ReadModel
from flotilla.primitives.lease import seconds_until_takeover
from flotilla.primitives.parking import release_seconds
from flotilla.read_model import UnreadableMessage
from flotilla.services.bridge import Bridge
from flotilla.services.callbacks import is_workers
from flotilla.services.dispatch import Dispatch, message_for
from flotilla.services.successor import successor
from flotilla.workflows.order import StepOrder, body_without_token, read_wanted

logger = logging.getLogger("flotilla.triage")

RECEIVE_LIMIT = "receive_limit"
"""Reason of the `parked` event by which the triage sets a task going again."""

MAX_BODY_CHARACTERS = 4096
"""Of an unreadable message's body in the read model: lists of them must fit a response. Longer ones lie, whole, among
the payloads."""

_MAX_REASON_CHARACTERS = 256
_TRIES = 3

_ROUNDS_ALONE = 1
_ROUNDS_IN_SESSION = 10
"""Receive limits in a row with no sign of life after which a task is undeliverable. In a session a task is handed
out together with those before it, again and again while they are held up, and shows no sign of life of its own:
a dependency that is down for a day must not kill it."""

_PAUSE_SECONDS = 30.0
_UNAVAILABLE_SECONDS = 5
_NOT_KEPT_SECONDS = 60
_LONGEST_HOLD_SECONDS = 43_200


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message of a dead letter queue.

    Attributes:
        queue: The lane it was on, or the name of the queue where that was no lane.
        reason: What a worker said of it, if one put it there.
    """

    delivery: Delivery
    queue: str
    reason: str | None


@dataclass(slots=True)
class TriageResult:
    """What became of a batch.

    Attributes:
        done: To be deleted.
        again: To be kept; their visibility is set.
    """

    done: list[Delivery] = field(default_factory=list)
    again: list[Delivery] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Done:
    """Nothing is left to do for the message."""


@dataclass(frozen=True, slots=True)
class _Again:
    """Too early to tell; ask again after so many whole seconds."""

    after_seconds: int


_Outcome = _Done | _Again


@dataclass(frozen=True, slots=True)
class Orders:
    """What workflows' orders are accepted with.

    Attributes:
        bridge: Accepts those that were on the lane of that name.
        catalog: The deployed agents, asked for when there is an order.
    """

    bridge: Callable[[str], Bridge]
    catalog: Callable[[], Catalog]


def unreadable_body_key(queue: str, message_id: str) -> str:
    """Where the whole body of an unreadable message lies that was too long for the read model."""
    return f"unreadable/{queue}/{message_id}.txt"


class TriageService:
    """Sorts out dead letter queues.

    Args:
        log: The event log.
        read_model: Takes the messages that stand for no task.
        dispatch: Sends tasks their fresh messages.
        payloads: Takes long bodies.
        lanes: The deployed lanes. A deployment may have removed one that a task was accepted for.
        clock: Dates the events.
        random: Draws jitter: what comes back together must not start together.
        actor: Who writes, unique to the invocation.
        orders: Accepts workflows' orders; None where there are no workflows.
        metrics: Counts the messages that stand for no task.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        read_model: ReadModel,
        dispatch: Dispatch,
        payloads: PayloadStore,
        lanes: Collection[str],
        clock: Clock,
        random: random.Random,
        actor: str,
        orders: Orders | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._log = log
        self._read_model = read_model
        self._dispatch = dispatch
        self._payloads = payloads
        self._lanes = lanes
        self._clock = clock
        self._random = random
        self._actor = actor
        self._orders = orders
        self._metrics = metrics or NoMetrics()

    async def run(self, messages: Sequence[DeadMessage], receipts: LaneReceipts) -> TriageResult:
        """Sort out one queue's messages: groups at once, each in order; one that is held holds up its group alone."""
        groups: dict[str, list[DeadMessage]] = {}
        for message in messages:
            groups.setdefault(message.delivery.group, []).append(message)
        result = TriageResult()
        await asyncio.gather(*(self._run_group(group, receipts, result) for group in groups.values()))
        return result

    async def _run_group(self, group: Sequence[DeadMessage], receipts: LaneReceipts, result: TriageResult) -> None:
        for position, message in enumerate(group):
            match await self._triage(message):
                case _Done():
                    result.done.append(message.delivery)
                case _Again(after_seconds):
                    rest = [kept.delivery for kept in group[position:]]
                    result.again.extend(rest)
                    await receipts.set_visibility([(delivery, after_seconds) for delivery in rest])
                    return

    async def _triage(self, dead: DeadMessage) -> _Outcome:
        try:
            return await self._foreseen(dead)
        except Exception as error:
            # A fault of our own. The message must not come back for ever, nor be lost: it is kept to be looked at, and
            # if it stands for a living task, that one is sent again from its log.
            logger.exception("triage broke off", extra={"message_id": dead.delivery.message_id})
            return await self._given_up(dead, f"triage broke off: {type(error).__name__}")

    async def _foreseen(self, dead: DeadMessage) -> _Outcome:
        try:
            return await self._sort_out(dead)
        except RetryableError as error:
            extra = {"message_id": dead.delivery.message_id, "error": error.message}
            logger.warning("store unavailable", extra=extra)
            return _Again(_UNAVAILABLE_SECONDS)
        except (UnreadableMessageError, CorruptLogError) as error:
            why = error.message
        return await self._given_up(dead, why)

    async def _given_up(self, dead: DeadMessage, why: str) -> _Outcome:
        try:
            return await self._keep_unreadable(dead, why)
        except Exception:
            logger.exception("message could not be kept", extra={"message_id": dead.delivery.message_id})
            return _Again(_NOT_KEPT_SECONDS)

    async def _sort_out(self, dead: DeadMessage) -> _Outcome:
        wanted = read_wanted(dead.delivery.body)
        with trace_context.carried(wanted.trace):
            return await self._sort_out_task(dead, wanted)

    async def _sort_out_task(self, dead: DeadMessage, wanted: TaskMessage | StepOrder) -> _Outcome:
        for _ in range(_TRIES):
            events = await self._log.read(wanted.task_id)
            if not events:
                return await self._unlogged(dead, wanted)
            state = fold(events)
            if _unfinished_end(state, events[-1]):
                await self._dispatch(message_for(state))
                return _Done()
            if state.status.terminal or state.status is Status.WAITING:
                logger.info("nothing to do", extra={"task_id": state.task_id, "status": state.status.value})
                return _Done()
            if state.lease_until_ms is not None:
                wait = seconds_until_takeover(state.lease_until_ms, self._clock.now_ms())
                if wait > 0:
                    return _Again(min(math.ceil(wait), _LONGEST_HOLD_SECONDS))
            if state.lane in self._lanes and _answered(events, wanted):
                if _rounds(events):
                    # Who set it going may have died before it sent the message.
                    await self._dispatch(message_for(state))
                return _Done()
            event = self._next(state, _rounds(events))
            if await self._log.append(event) is None:
                if event.kind is Kind.PARKED:
                    await self._dispatch(message_for(fold([*events, event])))
                logger.warning(
                    "receive limit", extra={"task_id": state.task_id, "queue": dead.queue, "kind": event.kind.value}
                )
                return _Done()
        return _Again(1)

    async def _unlogged(self, dead: DeadMessage, wanted: TaskMessage | StepOrder) -> _Outcome:
        if self._orders is None or isinstance(wanted, TaskMessage):
            return await self._keep_unreadable(dead, "the task has no log")
        bridge = self._orders.bridge(dead.queue)
        try:
            spec = self._orders.catalog().get(wanted.agent)
        except UnknownAgentError as error:
            await bridge.refuse(wanted, "unknown_agent", error.message)
            return await self._keep_unreadable(dead, error.message)
        message = await bridge.task_of(wanted, spec, dead.delivery.group)
        if message is not None:
            await self._dispatch(message)
            logger.warning("order accepted late", extra={"task_id": message.task_id, "queue": dead.queue})
        return _Done()

    def _next(self, state: TaskState, rounds: int) -> Event:
        """The event that sets the task going again, or ends it."""
        now_ms = self._clock.now_ms()
        if state.lane not in self._lanes:
            return self._dead(state, "undeliverable", "its lane is no longer deployed", now_ms)
        if rounds >= (_ROUNDS_ALONE if state.session is None else _ROUNDS_IN_SESSION):
            why = "its messages were received too often, and none of them led to an attempt"
            return self._dead(state, "undeliverable", why, now_ms)
        if state.attempt_lost() and state.charge_if_lost() >= state.max_attempts:
            why = f"the worker died during attempt {state.attempt} and no attempt is left"
            return self._dead(state, "worker_lost", why, now_ms)
        wait = release_seconds(_PAUSE_SECONDS * (rounds + 1), self._random.random())
        due_ms = max(now_ms + int(wait * 1000), state.next_attempt_ms or 0)
        if state.status is Status.SCHEDULED:
            due_ms = max(due_ms, state.due_at_ms or 0)
        body = {
            "reason": RECEIVE_LIMIT,
            "detail": "its message was received too often; it goes on with a new one",
            "next_attempt_ms": due_ms,
        }
        return successor(state, Kind.PARKED, body, actor=self._actor, at_ms=now_ms)

    def _dead(self, state: TaskState, cause: str, why: str, now_ms: int) -> Event:
        error = ErrorInfo(cause, why, retryable=False)
        body = {"cause": cause, "error": error.to_json()}
        return successor(state, Kind.DEAD_LETTERED, body, actor=self._actor, at_ms=now_ms)

    async def _keep_unreadable(self, dead: DeadMessage, why: str) -> _Outcome:
        delivery = dead.delivery
        found = UnreadableMessage(
            message_id=delivery.message_id,
            lane=dead.queue,
            body=body_without_token(delivery.body),
            reason=(dead.reason or why)[:_MAX_REASON_CHARACTERS],
            received_at_ms=self._clock.now_ms(),
        )
        if len(found.body) >= MAX_BODY_CHARACTERS:
            # Before the entry that refers to it: a crash in between leaves an object, and not an entry without one.
            await self._payloads.put(unreadable_body_key(found.lane, found.message_id), found.body.encode())
            found = replace(found, body=found.body[:MAX_BODY_CHARACTERS])
        await self._read_model.put_unreadable(found)
        self._metrics.count("MessagesUnreadable", lane=found.lane)
        logger.error("unreadable message", extra={"message_id": found.message_id, "reason": found.reason})
        return _Done()


def _is_limit(event: Event) -> bool:
    return event.kind is Kind.PARKED and event.body.get("reason") == RECEIVE_LIMIT


def _unfinished_end(state: TaskState, head: Event) -> bool:
    """Whether a worker ended the task and may have died before it had done what follows: another one does it."""
    turns = bool(head.body.get("turns"))
    return turns or (state.status.terminal and state.workflow is not None and is_workers(head.actor))


def _answered(events: Sequence[Event], wanted: TaskMessage | StepOrder) -> bool:
    """True if this message, or one as old, has already been answered by setting its task going with a newer one."""
    seq = wanted.seq if isinstance(wanted, TaskMessage) else 0
    return any(_is_limit(event) and event.seq > seq for event in events)


def _rounds(events: Sequence[Event]) -> int:
    """How many receive limits in a row end the log, with no sign of life between them or after."""
    rounds = 0
    for event in reversed(events):
        if not _is_limit(event):
            break
        rounds += 1
    return rounds
