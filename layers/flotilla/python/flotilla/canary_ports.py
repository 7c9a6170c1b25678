"""What a round of canaries needs besides the log and the lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the API said of itself.

    Attributes:
        ready: It answered, and lacks nothing.
        latency_ms: How long the answer took; None where there was none.
        down: The dependencies that it says are down.
        why: Where it is not ready, in a few words.
    """

    ready: bool
    latency_ms: int | None = None
    down: tuple[str, ...] = ()
    why: str = ""


class FrontDoor(Protocol):
    """The API, as clients reach it."""

    async def readiness(self) -> Readiness:
        """Ask `/readyz`. Raises nothing, and takes some seconds at the longest."""
        ...
