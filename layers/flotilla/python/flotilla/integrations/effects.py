"""Names what an agent does to the world outside, so that each effect has the same name in every attempt of its task.

    in a step:       the step's key, and which call of its kind it is within the step
    outside of any:  which call of its kind it is within the attempt

Counted within the step, because a step that is replayed makes no call: what comes after it must not move up into its
place and be taken for a repetition of it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class EffectScope:
    """Where effects are counted.

    Args:
        name: Of the step; empty outside of any.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._counts: Counter[str] = Counter()
        self._numbers: dict[str, tuple[str, int]] = {}
        self._free: dict[str, list[int]] = {}

    def next(self, kind: str) -> str:
        """The name of the next effect of that kind."""
        if free := self._free.get(kind):
            number = heapq.heappop(free)
        else:
            self._counts[kind] += 1
            number = self._counts[kind]
        # Zero bytes: no name that an agent gives an effect of its own can look like it.
        name = "\0".join(("call", self._name, kind, str(number)))
        self._numbers[name] = (kind, number)
        return name

    def give_back(self, name: str) -> None:
        """The effect did not come about, or nobody knows: the next of its kind is the same one."""
        kind, number = self._numbers[name]
        heapq.heappush(self._free.setdefault(kind, []), number)


_current: ContextVar[EffectScope | None] = ContextVar("flotilla_effect_scope", default=None)


def current() -> EffectScope | None:
    """The scope of the step that runs here, if one does."""
    return _current.get()


@contextmanager
def within_step(name: str) -> Iterator[None]:
    """Count what is done in the block, and on the tasks and threads it starts, as this step's."""
    token = _current.set(EffectScope(name))
    try:
        yield
    finally:
        _current.reset(token)
