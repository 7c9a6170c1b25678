"""Makes a port fail at one chosen call, in each of the ways in which a call can fail."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flotilla.errors import StoreUnavailableError

_BEST_EFFORT = frozenset({"set_visibility", "delete", "remove"})
"""Methods that a failure costs only time, so that they do not tell of it."""


class Fate(StrEnum):
    """What becomes of the call."""

    DIED_BEFORE = "the process dies before it"
    DIED_AFTER = "the process dies after it"
    REFUSED = "it is refused"
    ANSWER_LOST = "it is carried out, and its answer lost"


class Died(BaseException):
    """The process is gone."""


@dataclass
class Calls:
    """Counts the calls of a process to all of its ports, and ends one of them as told.

    Attributes:
        fatal: Number of that call, from 0; None for none.
        made: The calls so far, by name.
    """

    fatal: int | None = None
    fate: Fate = Fate.DIED_BEFORE
    made: list[str] = field(default_factory=list)
    dead: bool = False

    def through(self, port: Any) -> Any:
        """`port`, with its calls counted."""
        return _Port(port, self)


class _Port:
    def __init__(self, port: Any, calls: Calls) -> None:
        self._port = port
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        async def call(*args: Any, **options: Any) -> Any:
            calls = self._calls
            if calls.dead:
                raise Died  # whatever the process was about to do besides
            number = len(calls.made)
            calls.made.append(name)
            if number != calls.fatal:
                return await method(*args, **options)
            calls.dead = calls.fate in (Fate.DIED_BEFORE, Fate.DIED_AFTER)
            if calls.fate is Fate.DIED_BEFORE:
                raise Died
            if calls.fate is not Fate.REFUSED:
                await method(*args, **options)
            if calls.fate is Fate.DIED_AFTER:
                raise Died
            return _without_answer(name, args)

        return call


def _without_answer(name: str, args: Any) -> Any:
    """What a port's method does whose call brought no answer."""
    if name in _BEST_EFFORT:
        return None
    if name == "send_batch":
        return [False] * len(args[0])
    raise StoreUnavailableError("no answer")


def every_failure(number_of_calls: int) -> Iterator[Calls]:
    """A process for each call that can fail and each way in which it can."""
    for fatal, fate in itertools.product(range(number_of_calls), Fate):
        yield Calls(fatal, fate)
