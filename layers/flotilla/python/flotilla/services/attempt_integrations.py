"""The integrations as one attempt sees them. What calls need is loaded when the first is made: most tasks make none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flotilla.agents.catalog import AgentSpec
from flotilla.agents.context import idempotency_key
from flotilla.integrations.effects import EffectScope
from flotilla.models import TaskMessage
from flotilla.services.supervision import Supervision

if TYPE_CHECKING:
    from flotilla.integrations.client import IntegrationClient
    from flotilla.integrations.desk import IntegrationDesk


class IntegrationsOfAttempt:
    """`Integrations` of a context.

    Args:
        desk: Makes (or returns) the process's desk.
        spec: The attempt's agent.
        message: The task's message.
        ends_ms: When the attempt is stopped.
        supervision: Says whether it may go on.
        waits: How often the task was put aside before, at the cost of no attempt.
    """

    def __init__(
        self,
        desk: Callable[[], IntegrationDesk],
        spec: AgentSpec,
        message: TaskMessage,
        ends_ms: int,
        supervision: Supervision,
        waits: int = 0,
    ) -> None:
        self._desk = desk
        self._spec = spec
        self._message = message
        self._ends_ms = ends_ms
        self._supervision = supervision
        self._waits = waits
        self._effects = EffectScope()

    def client(self, name: str) -> IntegrationClient:
        """See `Integrations.client`."""
        from flotilla.integrations.client import Caller

        caller = Caller(
            agent=self._message.agent,
            tenant=self._message.tenant,
            ends_ms=self._ends_ms,
            supervisor=self._supervision,
            idempotency_key=partial(idempotency_key, self._message.task_id),
            effects=self._effects,
            waits=self._waits,
        )
        return self._desk().client(name, self._spec.integrations, caller)
