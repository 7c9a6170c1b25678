"""How a wait for a signal ended, as the log tells it to the attempts after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WaitEnd:
    """The end of a wait.

    Attributes:
        timed_out: Its time was over before anybody gave the signal.
        payload: What came with the signal: plain JSON values.
        actor: Who gave it; of a timeout, the worker that found it.
        at_ms: When.
    """

    timed_out: bool
    payload: Any
    actor: str
    at_ms: int
