"""Values of the mutable coordination between invocations: pauses, stopped runs and the turns of sessions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flotilla.models import Payload


class PauseScope(StrEnum):
    """What a pause holds up.

    That of a run is no operator's, and no wait: none of its tasks will ever start.
    """

    FLEET = "fleet"
    LANE = "lane"
    AGENT = "agent"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing in its scope starts while it is in force.

    Attributes:
        name: Of the lane or agent, or the run's id; empty for the fleet.
        reason: As the operator gave it.
        actor: Who paused: `key:<id>`.
        since_ms: When.
        expires_at: Epoch seconds after which the store may forget it; None until it is ended.
    """

    scope: PauseScope
    name: str
    reason: str
    actor: str
    since_ms: int
    expires_at: int | None = None


STOP_SECONDS = 86_400
"""How long it is known of a run that it was stopped: longer than any of its orders is on its way."""


def stop_mark(run: str, actor: str, now_ms: int) -> Pause:
    """What keeps the tasks of a workflow's run from being started, once it is put among the pauses.

    Args:
        run: Id of the run.
        actor: Who stopped it.
        now_ms: When.
    """
    return Pause(PauseScope.RUN, run, "", actor, now_ms, expires_at=now_ms // 1000 + STOP_SECONDS)


def stopped_runs(pauses: Iterable[Pause]) -> frozenset[str]:
    """The ids of the runs that were stopped."""
    return frozenset(pause.name for pause in pauses if pause.scope is PauseScope.RUN)


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
