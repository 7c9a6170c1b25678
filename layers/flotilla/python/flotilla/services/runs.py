"""Runs of workflows: each a task that Step Functions does.

Invariant: what holds for a task holds for a run. It is accepted once for one idempotency key, event 0 is in the log
before anything else is done, and each start of it has one execution, whose name follows from the event that it begins
with: starting it again is the same execution.

A run's log holds how it began and how it ended, and no `started`: what goes on in between is in the logs of its tasks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.services.run_state import PREFIX
from flotilla.services.submit import Accepted, Submission, SubmitService, random_id
from flotilla.workflows.declaration import Workflow
from flotilla.workflows.order import RUN_AGENT


@dataclass(frozen=True, slots=True)
class NewRun:
    """A validated request for a run.

    Attributes:
        request_id: Id of this very call, by which its event is told from that of any other.
        request: The client's own words (the validated body), for the fingerprint.
        lane: Where its tasks wait; None where its states say.
        idempotency_key: None makes every call a new run.
        budget_micros: What all its tasks may cost together, in millionths of a dollar.
        webhook: Id of the endpoint that is told how it ends.
    """

    tenant: str
    actor: str
    request_id: str
    workflow: Workflow
    input: Any
    request: dict[str, Any]
    lane: str | None = None
    idempotency_key: str | None = None
    deadline_ms: int | None = None
    budget_micros: int | None = None
    webhook: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    trace: str | None = None


class RunService:
    """Accepts runs.

    Args:
        submit: Accepts tasks, and has runs started.
        default_lane: Stands in the log of a run that names none.
        new_id: Makes 32 hex digits that no other run has, for one without an idempotency key.
    """

    def __init__(self, *, submit: SubmitService, default_lane: str, new_id: Callable[[], str] = random_id) -> None:
        self._submit = submit
        self._default_lane = default_lane
        self._new_id = new_id

    async def start(self, wanted: NewRun) -> Accepted:
        """Accept a run and start it, or find the one that this idempotency key already stands for.

        Raises:
            IdempotencyKeyReusedError: The key stands for another request.
            RetryableError: A store or Step Functions did not answer; the client should repeat the call.
        """
        key = wanted.idempotency_key
        return await self._submit.submit(
            Submission(
                tenant=wanted.tenant,
                actor=wanted.actor,
                request_id=wanted.request_id,
                agent=spec_of(wanted.workflow),
                lane=wanted.lane or self._default_lane,
                lane_asked=wanted.lane is not None,
                input=wanted.input,
                request={"workflow": wanted.workflow.name, "request": wanted.request},
                task_id=PREFIX + self._new_id() if key is None else run_id_for(wanted.tenant, key),
                idempotency_key=key,
                deadline_ms=wanted.deadline_ms,
                webhook=wanted.webhook,
                labels=wanted.labels,
                trace=wanted.trace,
                budget_micros=wanted.budget_micros,
            )
        )


def run_id_for(tenant: str, idempotency_key: str) -> str:
    """The id of the run that (tenant, idempotency key) stands for, whatever task the same key stands for."""
    return PREFIX + hashlib.sha256(f"run\0{tenant}\0{idempotency_key}".encode()).hexdigest()[:32]


def spec_of(workflow: Workflow) -> AgentSpec:
    """The workflow as if it were an agent. There is no function behind it: no worker is ever handed a run."""
    return AgentSpec(
        name=RUN_AGENT + workflow.name,
        version=workflow.version,
        module="",
        function="",
        is_async=True,
        lane=None,
        timeout_seconds=0.0,
        max_attempts=1,
        backoff_base_seconds=0.0,
        backoff_cap_seconds=0.0,
        integrations=(),
        cache_ttl_seconds=None,
        input_schema={} if workflow.input_schema is None else workflow.input_schema,
        output_schema={},
    )


def with_runs(catalog: Catalog, workflows: Mapping[str, Workflow]) -> Catalog:
    """What a task's log may name as its agent: the agents and, as if they were some, the workflows."""
    agents = {spec.name: spec for spec in catalog}
    return Catalog(agents | {spec.name: spec for spec in map(spec_of, workflows.values())})
