"""Phase 2: who has letters submits them: `python -m examples.migration.phase_2.producer [POSTBAG]`.

It keeps no state of its own: a letter's key is its postbag and its id, so a producer that is started again submits
nothing twice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from examples.migration.flotilla_api import Flotilla
from examples.migration.world import Letter, letters


def submit_all(flotilla: Flotilla, waiting: Iterable[Letter], postbag: str = "first") -> list[str]:
    """Submit every letter, what is urgent on the lane that is served first; the ids of the tasks."""
    return [
        flotilla.submit(
            "letter.answer",
            {"id": letter.id, "text": letter.text},
            key=f"answer/{postbag}/{letter.id}",
            lane="critical" if letter.urgent else None,
        )
        for letter in waiting
    ]


def main(arguments: Sequence[str]) -> str:
    """Run it; the ids of the tasks, a line each."""
    with Flotilla() as flotilla:
        return "\n".join(submit_all(flotilla, letters(), *arguments[:1]))


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]) + "\n")
