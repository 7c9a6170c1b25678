"""What a scripted dependency does: phases one after the other, and in each what it answers, how often and how fast.

    seed = 1
    [[phases]]              # as long as `seconds`, or until `requests` have come; the last may go on for ever
    seconds = 30
    [[phases.replies]]
    weight = 95             # of a hundred requests 95 are answered like this
    latency_ms = [5, 20]
    [[phases.replies]]
    weight = 5
    status = 503
    headers = { Retry-After = "2" }

What the n-th request of a phase meets follows from the seed and n alone, so a script does the same however the requests
interleave.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Fault = Literal["stall", "reset", "cut", "drip"]

FOLDER = Path(__file__).resolve().parent / "scripts"


@dataclass(frozen=True, slots=True)
class Reply:
    """One way to answer.

    Attributes:
        weight: How often, beside the phase's other replies.
        latency_ms: Before the first byte: uniform between these.
        body: What is sent; None sends the request back, as JSON.
        fault: `stall` never answers, `reset` hangs up instead, `cut` hangs up in the middle of the body, `drip` sends
            the body byte by byte, `drip_ms` apart.
    """

    weight: float = 1.0
    status: int = 200
    latency_ms: tuple[float, float] = (0.0, 0.0)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    fault: Fault | None = None
    drip_ms: float = 20.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A span of the script.

    Attributes:
        seconds: How long it lasts; None for ever.
        requests: After how many requests it ends; None by time alone.
    """

    replies: tuple[Reply, ...] = (Reply(),)
    seconds: float | None = None
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one request meets.

    Attributes:
        reply: The reply.
        latency_ms: Drawn.
    """

    reply: Reply
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Script:
    """A dependency's behaviour over time."""

    phases: tuple[Phase, ...]
    seed: int = 0

    @classmethod
    def steady(cls, *replies: Reply, seed: int = 0) -> Script:
        """The same all the time."""
        return cls((Phase(replies or (Reply(),)),), seed)

    @classmethod
    def one_after_the_other(cls, *replies: Reply) -> Script:
        """The first request meets the first reply, the second the second; the last goes on."""
        *first, last = replies
        return cls((*(Phase((reply,), requests=1) for reply in first), Phase((last,))))

    @classmethod
    def read(cls, path: Path) -> Script:
        """Read a file.

        Raises:
            ValueError: It is no script.
        """
        value = tomllib.loads(path.read_text(encoding="utf-8"))
        phases = tuple(_phase(each) for each in value.pop("phases"))
        seed = value.pop("seed", 0)
        if value or not phases:
            raise ValueError(f"{path.name}: a script has a seed and phases, not {', '.join(value) or 'nothing'}")
        return cls(phases, seed)

    @classmethod
    def named(cls, name: str) -> Script:
        """One of those that are shipped."""
        return cls.read(FOLDER / f"{name}.toml")


class Running:
    """A script under way; told of each request as it comes.

    Args:
        script: What to do.
        began_seconds: When it began, on the clock that `meets` is given.
    """

    def __init__(self, script: Script, began_seconds: float) -> None:
        self._script = script
        self._phase = 0
        self._since = began_seconds
        self._count = 0

    def meets(self, now_seconds: float) -> Chosen:
        """What a request that comes now meets."""
        self._move(now_seconds)
        phase = self._script.phases[self._phase]
        draw = random.Random(f"{self._script.seed}/{self._phase}/{self._count}")
        self._count += 1
        (reply,) = draw.choices(phase.replies, [each.weight for each in phase.replies])
        return Chosen(reply, draw.uniform(*reply.latency_ms))

    def _move(self, now_seconds: float) -> None:
        while self._phase + 1 < len(self._script.phases):
            phase = self._script.phases[self._phase]
            if phase.requests is not None and self._count >= phase.requests:
                self._since = now_seconds
            elif phase.seconds is not None and now_seconds - self._since >= phase.seconds:
                self._since += phase.seconds
            else:
                return
            self._phase, self._count = self._phase + 1, 0


def _phase(value: dict[str, Any]) -> Phase:
    replies = tuple(_reply(each) for each in value.pop("replies", [{}]))
    return Phase(replies, **value)


def _reply(value: dict[str, Any]) -> Reply:
    found = dict(value)
    if "latency_ms" in found:
        low, high = found["latency_ms"]
        found["latency_ms"] = (float(low), float(high))
    if "body" in found:
        found["body"] = str(found["body"]).encode()
    return Reply(**found)
