"""Who is at work in one invocation, so that those who could do something together know whom to wait for.

Holds nothing but names and numbers: every attempt is on it, and few ever ask.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Seat:
    """One attempt, from before it is claimed until it is over.

    Attributes:
        asking: How many answers it waits for; while there are any nothing else is expected of it.
        apart: It does nothing together with others.
    """

    __slots__ = ("agent", "apart", "asking", "roster", "tenant")

    def __init__(self, roster: Roster, tenant: str, agent: str) -> None:
        self.roster = roster
        self.tenant = tenant
        self.agent = agent
        self.asking = 0
        self.apart = False

    def keep_apart(self) -> None:
        """From now on nobody waits for it, nor it for anybody."""
        self.apart = True
        self.roster.changed()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The attempt waits for an answer."""
        self.asking += 1
        self.roster.changed()
        try:
            yield
        finally:
            self.asking -= 1


def better_apart(charged: int, waits: int) -> bool:
    """Whether a task should do nothing together with others this time.

    What failed may have failed for its company: ten answers take longer than one. So it goes on by itself, and what was
    put aside does so every third time, which does not undo what sharing saves when a backlog comes back.

    Args:
        charged: Its attempts that failed.
        waits: Its attempts that were put aside.
    """
    return charged > 0 or waits % 3 == 2


class Roster:
    """The attempts of one invocation."""

    def __init__(self) -> None:
        self._seats: set[Seat] = set()
        self._told: list[Callable[[], None]] = []
        self._closed: list[Callable[[], Awaitable[None]]] = []
        self._shared: dict[type[Any], Any] = {}

    @contextmanager
    def seat(self, tenant: str, agent: str) -> Iterator[Seat]:
        """A place for an attempt that begins; it is over when the context is left."""
        seat = Seat(self, tenant, agent)
        self._seats.add(seat)
        try:
            yield seat
        finally:
            self._seats.discard(seat)
            self.changed()

    def expects(self, tenant: str, agent: str) -> bool:
        """Whether an attempt of that agent for that tenant may still come to ask for something."""
        return any(
            (seat.tenant, seat.agent) == (tenant, agent) and not seat.asking and not seat.apart for seat in self._seats
        )

    def shared(self, kind: type[T], make: Callable[[], T]) -> T:
        """What the attempts of the invocation have in common, one of each kind; made when it is first asked for."""
        if kind not in self._shared:
            self._shared[kind] = make()
        return cast("T", self._shared[kind])

    def tell(self, changed: Callable[[], None], closed: Callable[[], Awaitable[None]]) -> None:
        """Have somebody told.

        Args:
            changed: Called when `expects` may answer otherwise than before.
            closed: Called when the invocation ends.
        """
        self._told.append(changed)
        self._closed.append(closed)

    def changed(self) -> None:
        """An attempt has come to wait, or is over."""
        for told in self._told:
            told()

    async def close(self) -> None:
        """The invocation ends; takes about a second at the most."""
        for closed in self._closed:
            await closed()
