"""Values of the mutable coordination between invocations: pauses and the turns of sessions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flotilla.models import Payload


class PauseScope(StrEnum):
    """What a pause holds up."""

    FLEET = "fleet"
    LANE = "lane"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing in its scope starts while it is in force.

    Attributes:
        name: Of the lane or agent; empty for the fleet.
        reason: As the operator gave it.
        actor: Who paused: `key:<id>`.
        since_ms: When.
    """

    scope: PauseScope
    name: str
    reason: str
    actor: str
    since_ms: int


def holding(pauses: Iterable[Pause], *, lane: str, agent: str | None) -> Pause | None:
    """The pause that holds up the agent's tasks on the lane (of no agent: the lane's all), the widest first."""
    found = {(pause.scope, pause.name): pause for pause in pauses}
    scopes = [(PauseScope.FLEET, ""), (PauseScope.LANE, lane), (PauseScope.AGENT, agent)]
    return next((found[scope] for scope in scopes if scope in found), None)


@dataclass(frozen=True, slots=True)
class Turn:
    """One entry of a session's memory.

    Attributes:
        position: Its place in the session, from 0.
        task_id: The task that added it.
        content: What the agent said it is.
    """

    position: int
    task_id: str
    content: Payload

    def to_json(self) -> dict[str, Any]:
        """The form in events."""
        return {"position": self.position, "content": self.content.to_json()}
