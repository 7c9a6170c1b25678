"""Phase 0: one process, one loop. `python -m examples.migration.phase_0.loop` runs it and tells what broke."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from examples.migration.world import Killed, Mailbox, Model, Post, Throttled

_PATIENCE = 3
"""How often a letter may bring the process down before somebody takes it out by hand."""


def work_off(mailbox: Mailbox, model: Model, post: Post) -> None:
    """Answer what is in the mailbox."""
    while True:
        letter = mailbox.get_next_task()
        if letter is None:
            return  # a real one would sleep and look again
        answer = ask(model, letter.text)
        post.send(letter.id, answer)
        mailbox.mark_done(letter.id)


def ask(model: Model, text: str) -> str:
    """An answer, however often the model must be asked."""
    while True:
        try:
            return model.draft(text)
        except Throttled:
            continue  # a real one would sleep first, and every other letter with it


@dataclass(frozen=True, slots=True)
class Supervision:
    """What a supervisor saw.

    Attributes:
        restarts: How often it started the process again.
        by_hand: The letters that somebody had to take out.
    """

    restarts: int
    by_hand: list[str]


def supervise(mailbox: Mailbox, process: Callable[[], None]) -> Supervision:
    """Start a process again and again until the mailbox is empty, as a service manager does."""
    crashes: Counter[str] = Counter()
    restarts, by_hand = 0, []
    while True:
        try:
            process()
        except (Killed, ValueError):
            restarts += 1
            letter = mailbox.get_next_task()
            assert letter is not None
            crashes[letter.id] += 1
            if crashes[letter.id] == _PATIENCE:
                by_hand.append(letter.id)
                mailbox.put_away(letter.id, "it brings the process down")
        else:
            return Supervision(restarts, by_hand)


def main() -> str:
    """Run it; what there is to tell."""
    mailbox, model, post = Mailbox(), Model(), Post()
    number = len(mailbox.waiting)
    urgent = next(letter.id for letter in mailbox.waiting if letter.urgent)
    seen = supervise(mailbox, lambda: work_off(mailbox, model, post))
    twice = [letter_id for letter_id, times in Counter(post.sent).items() if times > 1]
    return "\n".join(
        [
            f"{number} letters, {len(set(post.sent))} answered",
            f"answered twice: {', '.join(twice)}",
            f"the process was started again {seen.restarts} times",
            f"taken out by hand: {', '.join(seen.by_hand)}; until then everything behind it waited",
            f"the model was called {model.calls} times, {len(model.throttled)} of them while it refused every call",
            f"the urgent {urgent} was answered after {post.sent.index(urgent)} others",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
