"""A clue: what in a document speaks for a class.

A clue is a phrase that the class's documents use and others do not, or a pattern of the title. A
weight of 5 or more is a phrase that settles the matter by itself, 1 a hint. Phrases are compared
in lower case, with straight quotes and single blanks, and with the spelling "license".
"""

from __future__ import annotations

from dataclasses import dataclass

from functions.worker.agents.document_text.models import DocumentClass


@dataclass(frozen=True, slots=True)
class Clue:
    """A phrase (or regular expression, in a title) and how much it says for a class."""

    document_class: DocumentClass
    weight: float
    phrase: str


def clues(document_class: DocumentClass, weighted: dict[float, tuple[str, ...]]) -> list[Clue]:
    """The phrases that speak for a class, by weight."""
    return [Clue(document_class, weight, phrase) for weight, phrases in weighted.items() for phrase in phrases]


def title_clue(document_class: DocumentClass, weight: float, *patterns: str) -> Clue:
    """Patterns of a title of which any one speaks for a class."""
    return Clue(document_class, weight, "|".join(patterns))
