"""One list out of several that are each sorted, the newest first, and each known only down to some place.

    shard 0   9 8 · · 5 | not looked at yet
    shard 1   · · 7 6 · · 4 3 | …            down to 5 all are known: 9 8 7 6 5
    shard 2   … nothing at all

Invariant: an entry is handed out only when no source can still hold a newer one, so pages never overlap and never
leave anything out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Stretch(Generic[T]):
    """What is known of one source.

    Attributes:
        items: What was found so far.
        known_to: The source was looked through down to this position; empty once that is all of it.
    """

    items: list[T] = field(default_factory=list)
    known_to: str = "\x7f"

    @property
    def whole(self) -> bool:
        """Nothing of it is left to look at."""
        return not self.known_to


def together(stretches: Iterable[Stretch[T]], position_of: Callable[[T], str], limit: int) -> tuple[list[T], str]:
    """The newest entries of all sources.

    Returns:
        At most `limit` of them, and the position to go on after; empty when there can be no more.
    """
    known = list(stretches)
    known_to = max((stretch.known_to for stretch in known), default="")
    found = sorted((item for stretch in known for item in stretch.items), key=position_of, reverse=True)
    certain = [item for item in found if position_of(item) >= known_to]
    if len(certain) > limit:
        return certain[:limit], position_of(certain[limit - 1])
    return certain, known_to
