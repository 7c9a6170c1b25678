"""What came of one call by a route: the answer, which model gave it, and what that cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flotilla.llm_ports import ModelReply, ModelRequest


@dataclass(frozen=True, slots=True)
class Served:
    """One answer.

    Attributes:
        requested: The model that the route would have had serve.
        served: The model that did.
        cost_micros: In millionths of a dollar.
        latency_ms: How long that model took.
    """

    reply: ModelReply
    requested: str
    served: str
    cost_micros: int
    latency_ms: int


Converse = Callable[[ModelRequest], Awaitable[Served]]
"""Makes one protected call by a route that was chosen before."""
