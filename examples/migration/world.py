"""What surrounds the loop: a mailbox, a model and a post office, with the faults of real ones, each at its place.

Nothing is left to chance, so that every run tells the same story.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path


class Throttled(Exception):  # noqa: N818 - as a provider's library calls it
    """The model refuses the call, and would take a later one."""


class Killed(BaseException):
    """The process is gone: a deployment, an operating system out of memory, a power cut."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that wants an answer."""

    id: str
    text: str
    urgent: bool = False


def letters() -> list[Letter]:
    """The letters of the example, in the order in which they came."""
    return [Letter(**each) for each in json.loads(Path(__file__).with_name("letters.json").read_text("utf-8"))]


@dataclass
class Mailbox:
    """What is to be answered: the first letter is handed out until it is marked.

    Attributes:
        waiting: In the order in which they came.
        put_aside: Taken out without an answer, by id, with the reason.
    """

    waiting: list[Letter] = field(default_factory=letters)
    put_aside: dict[str, str] = field(default_factory=dict)

    def get_next_task(self) -> Letter | None:
        """The letter that has waited longest; None where nothing is left."""
        return self.waiting[0] if self.waiting else None

    def mark_done(self, letter_id: str) -> None:
        """It is answered."""
        self.waiting = [letter for letter in self.waiting if letter.id != letter_id]

    def put_away(self, letter_id: str, why: str) -> None:
        """It will not be answered."""
        self.put_aside[letter_id] = why
        self.mark_done(letter_id)


@dataclass
class Model:
    """A language model that is throttled for a while.

    Attributes:
        throttled: The numbers of the calls that are refused, from 1.
        calls: How often it was called.
    """

    throttled: Collection[int] = range(6, 26)
    calls: int = 0

    def draft(self, text: str) -> str:
        """An answer to a letter.

        Raises:
            Throttled: Not now.
            ValueError: There is nothing to be read in it.
        """
        self.calls += 1
        if self.calls in self.throttled:
            raise Throttled
        if not any(character.isalpha() for character in text):
            raise ValueError("there is nothing to be read in it")
        return f"Dear customer, you wrote: {text}"


@dataclass
class Post:
    """A post office, and a process that is killed as it leaves the counter.

    Attributes:
        killed_after: The letter whose answer is handed in by a process that does not live to mark it.
        sent: The ids of the letters that were answered, in order, as often as they were.
    """

    killed_after: str | None = "letter-04"
    sent: list[str] = field(default_factory=list)

    def send(self, letter_id: str, answer: str) -> None:
        """Send an answer.

        Raises:
            Killed: After it was sent.
        """
        assert answer
        self.sent.append(letter_id)
        if letter_id == self.killed_after:
            self.killed_after = None
            raise Killed
