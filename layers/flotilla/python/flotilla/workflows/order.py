"""What a workflow's state puts on a lane: an order for a task, which the worker that receives it accepts into the log.

    "MessageBody": {
      "workflow": "{% $states.context.Execution.Input.workflow %}",
      "state": "{% $states.context.State %}",
      "token": "{% $states.context.Task.Token %}",
      "agent": "document.extract",
      "input": "{% $states.input.document %}"
    }

Invariant: the id of the task follows from the order, so that an order that is delivered twice is one task. The token
makes it: a state has another each time that it is entered, and `RetryCount` tells its own retries apart.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from flotilla.errors import UnreadableMessageError
from flotilla.models import TaskBudgets, TaskMessage, task_budgets

RUN_AGENT = "workflow:"
"""What stands before a workflow's name where a task has its agent's: a run is a task that Step Functions does."""

MAX_RUN_INPUT_BYTES = 131_072
"""Of a run's input as JSON: with what else an execution is handed it must fit 256 KiB, and states hand it on."""


def is_run(agent: str) -> bool:
    """Whether a task of this agent is a run of a workflow."""
    return agent.startswith(RUN_AGENT)


def workflow_of(agent: str) -> str:
    """The workflow of a run, by the name that stands for its agent."""
    return agent.removeprefix(RUN_AGENT)


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What the input of an execution says of its run, for every state to pass on.

    Attributes:
        run: Id of the run.
        name: Of the workflow.
        lane: Where its tasks wait, where a state does not say another.
        labels: Of the run; its tasks have them too.
        depth: How many tasks are above the run.
        root: The task at the top; the run itself where nothing is above it.
        budgets: What its tasks count against (`TaskMessage.budgets` of the run).
        webhook: Id of the endpoint that the run names.
    """

    run: str
    tenant: str
    name: str
    lane: str | None = None
    depth: int = 0
    root: str | None = None
    deadline_ms: int | None = None
    trace: str | None = None
    webhook: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    budgets: TaskBudgets = ()

    def to_json(self) -> dict[str, Any]:
        """The member `workflow` of an execution's input."""
        return {
            "run": self.run,
            "tenant": self.tenant,
            "name": self.name,
            "lane": self.lane,
            "depth": self.depth,
            "root": self.root,
            "deadline_ms": self.deadline_ms,
            "trace": self.trace,
            "webhook": self.webhook,
            "labels": self.labels,
            "budgets": [list(budget) for budget in self.budgets],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RunHeader:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: It is not that.
        """
        members = {name: value[name] for name in _HEADER_TYPES if name in value}
        if not all(isinstance(found, _HEADER_TYPES[name]) for name, found in members.items()):
            raise ValueError("not the header of a run")
        return cls(**members | {"budgets": task_budgets(value.get("budgets", ()))})


_HEADER_TYPES: dict[str, Any] = {
    "run": str,
    "tenant": str,
    "name": str,
    "lane": str | None,
    "depth": int,
    "root": str | None,
    "deadline_ms": int | None,
    "trace": str | None,
    "webhook": str | None,
    "labels": dict,
}


@dataclass(frozen=True, slots=True)
class StepOrder:
    """An order for a task.

    Attributes:
        step: Name of the state.
        retry: How often the state was retried before.
        input: Of the task.
        lane: Where the task belongs by its priority; None is the lane that the order lies on.
        session: That the task belongs to; `{run}` in it stands for the run's id.
        max_attempts: None takes the agent's own.
        timeout_seconds: The task's deadline, from when it is accepted; None where it has none but its run's.
    """

    header: RunHeader
    step: str
    retry: int
    token: str
    agent: str
    input: Any
    lane: str | None = None
    session: str | None = None
    max_attempts: int | None = None
    timeout_seconds: int | None = None

    @property
    def trace(self) -> str | None:
        """Its run's."""
        return self.header.trace

    @property
    def task_id(self) -> str:
        """The task's id."""
        # Three zero bytes tell it from the ids of other tasks (`services.children`, `services.submit`).
        text = f"step\0{self.header.run}\0{self.token}\0{self.retry}"
        return "tsk_" + hashlib.sha256(text.encode()).hexdigest()[:32]

    @classmethod
    def from_body(cls, body: str) -> StepOrder:
        """Read a message body.

        Raises:
            UnreadableMessageError: It is no order.
        """
        try:
            value = json.loads(body)
            header = RunHeader.from_json(value["workflow"])
            order = cls(
                header=header,
                step=value["state"]["Name"],
                retry=value["state"].get("RetryCount", 0),
                token=value["token"],
                agent=value["agent"],
                input=value["input"],
                lane=value.get("lane"),
                session=value.get("session"),
                max_attempts=value.get("max_attempts"),
                timeout_seconds=value.get("timeout_seconds"),
            )
            misfits = [name for name, kind in _ORDER_TYPES.items() if not isinstance(getattr(order, name), kind)]
            if misfits:
                raise UnreadableMessageError(f"not an order for a task: {', '.join(misfits)}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnreadableMessageError(f"not an order for a task: {type(error).__name__}") from error
        return order


_ORDER_TYPES: dict[str, Any] = {
    "step": str,
    "retry": int,
    "token": str,
    "agent": str,
    "lane": str | None,
    "session": str | None,
    "max_attempts": int | None,
    "timeout_seconds": int | None,
}


def read_wanted(body: str) -> TaskMessage | StepOrder:
    """Read what lies on a lane: a task's message, or an order.

    Raises:
        UnreadableMessageError: It is neither.
    """
    try:
        return TaskMessage.from_body(body)
    except UnreadableMessageError as no_task:
        try:
            return StepOrder.from_body(body)
        except UnreadableMessageError as no_order:
            raise UnreadableMessageError(f"{no_task.message}; {no_order.message}") from None


def body_without_token(body: str) -> str:
    """A message's body as it may be shown: with the digest of the token that is in it, if one is."""
    try:
        value = json.loads(body)
        holders = [value, value["workflow"]] if isinstance(value.get("workflow"), dict) else [value]
    except (ValueError, AttributeError, RecursionError):
        return body  # no message of ours
    tokens = [(holder, holder["token"]) for holder in holders if "token" in holder]
    for holder, token in tokens:
        holder["token"] = "sha256:" + hashlib.sha256(str(token).encode(errors="replace")).hexdigest()
    return json.dumps(value) if tokens else body
