"""Tasks that an agent submits: each made once in the life of the task that submits it.

    parent ── ctx.submit("report.write") ──> accepted(0) of the child, then its message

Invariant: a child's id follows from its parent's and from which submit of which name it is, so an attempt that is
repeated finds the children of the one before it. The first to be made stands, whatever a later attempt says of its
input, as the recorded result of a step does. What a crash leaves of it is event 0 at most: the next attempt sends its
message, or the reconciler does.

A child costs one write and one message, and nothing of it is written to its parent's log. It counts against every
budget that its parent counts against. No task has more than `DEEPEST` above it, so no agent that submits itself goes on
for ever.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.clock import Clock
from flotilla.errors import PermanentError, UnknownAgentError
from flotilla.integrations import effects
from flotilla.models import TaskMessage, canonical_json
from flotilla.primitives.budget import micros_of
from flotilla.services.submit import Descent, Submission, SubmitService
from flotilla.services.supervision import Supervision

logger = logging.getLogger("flotilla.worker")

DEEPEST = 16
"""So many tasks may be above one."""

LONGEST_DELAY_SECONDS = 43_200
"""A worker makes no schedules: what it delays goes round the delay ladder."""

_NAME_CHARACTERS = 256
_SESSION_CHARACTERS = 256
_MOST_LABELS = 16
_LABEL_NAME_CHARACTERS = 64
_LABEL_CHARACTERS = 256
_ID_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class DeployedLanes:
    """The lanes that a task may be put on.

    Attributes:
        names: All of them.
        default: Of an agent that names none.
    """

    names: Collection[str]
    default: str


class ChildTasks:
    """`Children` of a context.

    Args:
        submit: Accepts tasks.
        catalog: The deployed agents.
        lanes: The deployed lanes.
        message: The message of the task that submits.
        attempt: The number of its attempt.
        supervision: Says whether the attempt may go on.
        clock: Dates what is delayed.
    """

    def __init__(
        self,
        *,
        submit: SubmitService,
        catalog: Catalog,
        lanes: DeployedLanes,
        message: TaskMessage,
        attempt: int,
        supervision: Supervision,
        clock: Clock,
    ) -> None:
        self._submit = submit
        self._catalog = catalog
        self._lanes = lanes
        self._message = message
        self._actor = f"agent:{message.agent}@{catalog.get(message.agent).version}"
        self._attempt = attempt
        self._supervision = supervision
        self._clock = clock
        self._outside_steps = effects.EffectScope()

    async def submit(
        self,
        agent: str,
        task: Any,
        *,
        name: str | None,
        lane: str | None,
        labels: Mapping[str, str] | None,
        delay_seconds: float | None,
        budget_usd: float | None,
        session: str | None,
    ) -> str:
        """See `Context.submit`."""
        scope = effects.current() or self._outside_steps
        effect = scope.next(f"submit {name or agent}")
        try:
            await self._supervision.go_on()
            spec = self._agent(agent)
            _check(name, labels, delay_seconds, budget_usd, session)
            submission = Submission(
                tenant=self._message.tenant,
                actor=self._actor,
                request_id=f"{self._message.task_id}/{self._attempt}",
                agent=spec,
                lane=self._lane(lane, spec),
                input=_plain(task),
                # What tells this child from another; its input does not: the first one stands.
                request={"parent": self._message.task_id, "effect": effect},
                session=session,
                due_at_ms=None if delay_seconds is None else self._clock.now_ms() + math.ceil(delay_seconds * 1000),
                labels=dict(labels or {}),
                trace=self._message.trace,
                budget_micros=None if budget_usd is None else micros_of(budget_usd),
                descent=self._descent(effect),
            )
            accepted = await self._submit.submit(submission)
        except BaseException:
            # If the agent tries it again, that is the same child.
            scope.give_back(effect)
            raise
        state = accepted.state
        keys = {"task_id": self._message.task_id, "child": state.task_id, "attempt": self._attempt}
        if state.agent != agent:
            logger.warning("an earlier attempt submitted this for another agent", extra=keys | {"agent": state.agent})
        logger.info("child submitted", extra=keys | {"replayed": accepted.replayed})
        return state.task_id

    def _descent(self, effect: str) -> Descent:
        message = self._message
        if message.depth >= DEEPEST:
            raise PermanentError(f"there are {DEEPEST} tasks above this one already", code="too_deep")
        return Descent(
            task_id=child_task_id(message.task_id, message.revision, effect),
            parent=message.task_id,
            root=message.root or message.task_id,
            depth=message.depth + 1,
            budgets=message.budgets,
        )

    def _agent(self, name: str) -> AgentSpec:
        try:
            return self._catalog.get(name)
        except UnknownAgentError as error:
            raise PermanentError(f"no agent {name!r} is deployed", code="unknown_agent") from error

    def _lane(self, wanted: str | None, agent: AgentSpec) -> str:
        if wanted is not None and wanted not in self._lanes.names:
            raise _invalid(f"there is no lane {wanted!r}")
        return wanted or agent.lane or self._lanes.default


def child_task_id(parent: str, revision: int, effect: str) -> str:
    """The id of a child: the same in every attempt of its parent, until that is given another input."""
    # Three zero bytes tell it from the id of a client's task, which is made of a tenant and a key without any.
    text = f"child\0{parent}\0{revision}\0{effect}"
    return "tsk_" + hashlib.sha256(text.encode()).hexdigest()[:_ID_CHARACTERS]


def _plain(value: Any) -> Any:
    try:
        plain = to_jsonable_python(value)
        canonical_json(plain).encode()
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise _invalid("its input is not JSON") from error
    return plain


def _check(
    name: str | None,
    labels: Mapping[str, str] | None,
    delay_seconds: float | None,
    budget_usd: float | None,
    session: str | None,
) -> None:
    if name is not None and not 0 < len(name) <= _NAME_CHARACTERS:
        raise _invalid(f"a name has 1 to {_NAME_CHARACTERS} characters")
    if session is not None and not 0 < len(session) <= _SESSION_CHARACTERS:
        raise _invalid(f"a session has 1 to {_SESSION_CHARACTERS} characters")
    if delay_seconds is not None and not 1 <= delay_seconds <= LONGEST_DELAY_SECONDS:
        raise _invalid(f"delay_seconds is from 1 to {LONGEST_DELAY_SECONDS}")
    if budget_usd is not None and not micros_of(budget_usd) > 0:
        raise _invalid("budget_usd is at least a millionth of a dollar")
    if labels is not None and not are_labels(labels):
        raise _invalid(
            f"labels are at most {_MOST_LABELS} texts of up to {_LABEL_CHARACTERS} characters, "
            f"their names of up to {_LABEL_NAME_CHARACTERS}"
        )


def are_labels(labels: Mapping[str, str]) -> bool:
    """Whether labels keep to the bounds of labels."""
    texts: list[Any] = [*labels, *labels.values()]  # an agent may hand over anything
    return (
        all(isinstance(text, str) for text in texts)
        and len(labels) <= _MOST_LABELS
        and all(0 < len(name) <= _LABEL_NAME_CHARACTERS for name in labels)
        and all(len(text) <= _LABEL_CHARACTERS for text in labels.values())
    )


def _invalid(why: str) -> PermanentError:
    return PermanentError(f"a task that this one submits is not right: {why}", code="invalid_submission")
