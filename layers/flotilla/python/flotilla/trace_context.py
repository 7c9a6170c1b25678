"""The trace that a task is part of, as W3C Trace Context has it, and the one that the code running now works for.

    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
                    trace id                         span of who asked sampled

Flotilla records no spans: it passes on what it was given, unchanged, so that what others record hangs together. Where
X-Ray records spans, its header says the same in other words.

Refuses what is not valid by the letter: a header goes into logs, and to other people's servers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

HEADER = "traceparent"

_W3C = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_XRAY_ROOT = re.compile(r"1-([0-9a-fA-F]{8})-([0-9a-fA-F]{24})")
_XRAY_PARENT = re.compile(r"[0-9a-fA-F]{16}")
_LONGEST = 512
_SHARE_DIGITS = 14
"""Of the trace's id, from its end: 56 bits that are random, by which others decide as well."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A place in a trace.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits.
        span_id: The span that whatever is done next is part of; 16 of them.
        sampled: Whoever records spans should; None where nobody has decided.
    """

    trace_id: str
    span_id: str
    sampled: bool | None = None

    def decided(self, share: float) -> Trace:
        """The same, decided for the share of all traces, from 0 to 1, where it is not."""
        return self if self.sampled is not None else replace(self, sampled=is_sampled(self.trace_id, share))

    @property
    def traceparent(self) -> str:
        """The header."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def read(text: str | None) -> Trace | None:
    """The trace that a `traceparent` or an `X-Amzn-Trace-Id` names; None where it names none."""
    if text is None or len(text) > _LONGEST:
        return None
    return _of_w3c(text) or _of_xray(text)


def made(seed: str) -> Trace:
    """A trace for what came without one: always the same for the same seed, which only this has."""
    digest = hashlib.sha256(b"trace\0" + seed.encode()).hexdigest()
    return Trace(digest[:32], digest[32:48])


def is_sampled(trace_id: str, share: float) -> bool:
    """Whether a trace is among the share of all that are sampled: the same wherever it is asked."""
    return bool(int(trace_id[-_SHARE_DIGITS:], 16) < share * 16**_SHARE_DIGITS)


def id_of(text: str | None) -> str | None:
    """The trace's id, for a line of the log."""
    trace = read(text)
    return None if trace is None else trace.trace_id


@contextmanager
def carried(text: str | None) -> Iterator[None]:
    """Work for the trace that `text` names."""
    token = _current.set(read(text))
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Trace | None:
    """What the code running now works for."""
    return _current.get()


def headers() -> tuple[tuple[str, str], ...]:
    """What a request to another server is sent with."""
    trace = _current.get()
    return () if trace is None else ((HEADER, trace.traceparent),)


_current: ContextVar[Trace | None] = ContextVar("flotilla_trace", default=None)


def _of_w3c(text: str) -> Trace | None:
    found = _W3C.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    # A later version may say more at its end; this one says nothing there.
    if (version == "00" and rest is not None) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & 1))


def _of_xray(text: str) -> Trace | None:
    parts = dict(part.strip().partition("=")[::2] for part in text.split(";"))
    root = _XRAY_ROOT.fullmatch(parts.get("Root", ""))
    if root is None:
        return None
    trace_id = "".join(root.groups()).lower()
    parent = parts.get("Parent", "").lower()
    span_id = parent if _XRAY_PARENT.fullmatch(parent) else trace_id[-16:]
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, {"1": True, "0": False}.get(parts.get("Sampled", "")))
