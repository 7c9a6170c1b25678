"""From a workflow's order to a task: the worker that receives it accepts it, as the API accepts what clients submit.

    order ── accepted(0) ── started(1) ── … ── succeeded(n) ── its state is answered

Invariant: an order is one task, however often it is delivered: the task's id follows from the order, and the first
event 0 to be appended stands. Nothing is read for that: an append that is refused brings the event that holds the
place, and what became of the task since, the claim finds out.

What a task's input refers to (`workflows.references`) is put there before the task is accepted, so that its log holds
what its agent was given.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Collection
from typing import Any

from flotilla.agents.catalog import AgentSpec
from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, PermanentError
from flotilla.events import fold
from flotilla.models import ErrorInfo, Payload, TaskMessage, WorkflowStep, canonical_json
from flotilla.ports import EventLog
from flotilla.services.callbacks import Callbacks
from flotilla.services.children import DEEPEST, are_labels
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch, message_for
from flotilla.services.submit import Descent, Submission, accepted_event
from flotilla.workflows.errors import INVALID_ORDER
from flotilla.workflows.order import RUN_AGENT, StepOrder
from flotilla.workflows.references import references_in, with_outputs

logger = logging.getLogger("flotilla.worker")

RUN = "{run}"
"""Stands for the run's id in the name of a session."""

_MOST_REFERENCES = 100
_MOST_BYTES = 4 * 1024 * 1024
_DEEPEST_REFERENCE = 3
"""An output that is referred to may refer to others, which may refer to more; further than this nothing is followed."""

_READS_AT_ONCE = 10
_RUN_ID = re.compile(r"wfl_[0-9a-f]{32}")
_TOKEN_CHARACTERS = 2048
_NAME_CHARACTERS = 128
_TENANT_CHARACTERS = 256
_SESSION_CHARACTERS = 256
_MOST_ATTEMPTS = 20
_LONGEST_SECONDS = 366 * 86_400


class Bridge:
    """Accepts orders into the log.

    Args:
        log: The event log.
        claim_check: Moves large inputs out of events, and gets large outputs.
        dispatch: Sends on what belongs on another lane.
        callbacks: Tells the states whose orders are none.
        clock: Dates what is accepted.
        lane: The lane that the orders lie on.
        lanes: All deployed lanes.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        claim_check: ClaimCheck,
        dispatch: Dispatch,
        callbacks: Callbacks,
        clock: Clock,
        lane: str,
        lanes: Collection[str],
    ) -> None:
        self._log = log
        self._claim_check = claim_check
        self._dispatch = dispatch
        self._callbacks = callbacks
        self._clock = clock
        self._lane = lane
        self._lanes = lanes

    async def task_of(self, order: StepOrder, spec: AgentSpec, group: str) -> TaskMessage | None:
        """The task to work on for an order, as its event 0 makes it; the order's own message stands for it from here.

        Args:
            order: The order.
            spec: Its agent.
            group: Message group in which the order came.

        Returns:
            None where the order is done with: its task waits where it belongs, which is another lane, or its turn in
            its session; or the state was told that there will be none.

        Raises:
            RetryableError: It is not known whether that is durable; the order must come back.
            CorruptLogError: What is at the place of its event 0 is none.
        """
        try:
            message = await self._accept(order, spec)
        except PermanentError as error:
            await self.refuse(order, error.code, error.message)
            return None
        in_turn = message.session is None or message.group == group
        if message.lane == self._lane and in_turn:
            return message
        await self._dispatch(message)
        logger.info("order passed on", extra={"task_id": message.task_id, "lane": message.lane})
        return None

    async def refuse(self, order: StepOrder, code: str, why: str) -> None:
        """Tell the state that there will be no task.

        Raises:
            RetryableError: It is not known whether it was told.
        """
        keys = {"run": order.header.run, "step": order.step, "code": code}
        logger.error("order refused", extra={**keys, "error": why})
        await self._callbacks.refuse(order, ErrorInfo(code, why, retryable=False))

    async def _accept(self, order: StepOrder, spec: AgentSpec) -> TaskMessage:
        problem = self._problem(order)
        if problem is not None:
            raise PermanentError(f"the order is none for a task: {problem}", code=INVALID_ORDER)
        if order.header.depth >= DEEPEST:
            raise PermanentError(f"there are {DEEPEST} tasks above this one already", code="too_deep")
        try:
            task_input = await self._with_outputs(order)
            payload = await self._claim_check.check_in(order.header.tenant, order.task_id, task_input)
        except (ValueError, RecursionError) as error:
            raise PermanentError("the order's input is no JSON that can be kept", code=INVALID_ORDER) from error
        event = accepted_event(order.task_id, payload, self._submission(order, spec), self._clock.now_ms())
        existing = await self._log.append(event)
        if existing is not None:
            logger.info("order accepted before", extra={"task_id": order.task_id, "run": order.header.run})
        return message_for(fold([existing or event]))

    def _submission(self, order: StepOrder, spec: AgentSpec) -> Submission:
        header = order.header
        return Submission(
            tenant=header.tenant,
            actor=f"{RUN_AGENT}{header.name}",
            request_id=f"{header.run}/{order.step}/{order.retry}",
            agent=spec,
            lane=order.lane or header.lane or self._lane,
            input=order.input,
            request={"run": header.run, "step": order.step, "agent": order.agent, "input": order.input},
            session=None if order.session is None else order.session.replace(RUN, header.run),
            max_attempts=order.max_attempts,
            deadline_ms=self._deadline_ms(order),
            webhook=header.webhook,
            labels=header.labels,
            trace=header.trace,
            descent=Descent(
                task_id=order.task_id,
                parent=header.run,
                root=header.root or header.run,
                depth=header.depth + 1,
                budgets=header.budgets,
                workflow=WorkflowStep(header.run, order.step, order.token),
            ),
        )

    def _deadline_ms(self, order: StepOrder) -> int | None:
        own = None if order.timeout_seconds is None else self._clock.now_ms() + order.timeout_seconds * 1000
        return min((each for each in (own, order.header.deadline_ms) if each is not None), default=None)

    def _problem(self, order: StepOrder) -> str | None:
        """What is wrong with it; the definition's author reads this."""
        header = order.header
        session = None if order.session is None else order.session.replace(RUN, header.run)
        lanes = [lane for lane in (order.lane, header.lane) if lane is not None]
        problems = {
            "workflow.run is the id of a run": _RUN_ID.fullmatch(header.run),
            "workflow.tenant names a tenant": 0 < len(header.tenant) <= _TENANT_CHARACTERS,
            "workflow.name is a name": 0 < len(header.name) <= _NAME_CHARACTERS,
            "workflow.depth is not negative": header.depth >= 0,
            "workflow.labels are labels": are_labels(header.labels),
            "state.Name is a name": 0 < len(order.step) <= _NAME_CHARACTERS,
            "state.RetryCount is not negative": order.retry >= 0,
            "token is a task's token": 0 < len(order.token) <= _TOKEN_CHARACTERS,
            "lane is a deployed lane": all(lane in self._lanes for lane in lanes),
            f"session has 1 to {_SESSION_CHARACTERS} characters": session is None
            or 0 < len(session) <= _SESSION_CHARACTERS,
            f"max_attempts is from 1 to {_MOST_ATTEMPTS}": order.max_attempts is None
            or 1 <= order.max_attempts <= _MOST_ATTEMPTS,
            f"timeout_seconds is from 1 to {_LONGEST_SECONDS}": order.timeout_seconds is None
            or 1 <= order.timeout_seconds <= _LONGEST_SECONDS,
        }
        return next((rule for rule, kept in problems.items() if not kept), None)

    async def _with_outputs(self, order: StepOrder) -> Any:
        """The order's input, with what it refers to in it, as far as that is the run's and there is room for it."""
        value: Any = order.input
        payloads: dict[str, Payload | None] = {}
        for _ in range(_DEEPEST_REFERENCE):
            wanted = Counter(references_in(value))
            new = wanted.keys() - payloads.keys()
            if not wanted or len(payloads) + len(new) > _MOST_REFERENCES:
                return value
            payloads |= await self._outputs_of(new, order)
            found = {task_id: payload for task_id in wanted if (payload := payloads[task_id]) is not None}
            size_bytes = _size_bytes(value) + sum(_of(payload) * wanted[each] for each, payload in found.items())
            if size_bytes > _MOST_BYTES or len(found) < len(wanted):
                return value
            value = with_outputs(value, await self._values(found))
        return value

    async def _outputs_of(self, task_ids: Collection[str], order: StepOrder) -> dict[str, Payload | None]:
        """Each task's output; None where it has none to give to this run."""
        few = asyncio.Semaphore(_READS_AT_ONCE)

        async def output(task_id: str) -> Payload | None:
            async with few:
                events = await self._log.read(task_id)
            try:
                state = fold(events)
            except CorruptLogError:  # or none at all
                return None
            ours = state.workflow is not None and state.workflow.run == order.header.run
            return state.output if ours and state.tenant == order.header.tenant else None

        return dict(zip(task_ids, await asyncio.gather(*map(output, task_ids)), strict=True))

    async def _values(self, payloads: dict[str, Payload]) -> dict[str, Any]:
        values = await asyncio.gather(*(self._claim_check.check_out(payload) for payload in payloads.values()))
        return dict(zip(payloads, values, strict=True))


def _of(payload: Payload) -> int:
    return payload.size_bytes if payload.ref is not None else _size_bytes(payload.inline)


def _size_bytes(value: Any) -> int:
    return len(canonical_json(value).encode())
