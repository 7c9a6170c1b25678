"""The shapes of what is found in a document.

Invariant: an offset counts characters of the text as it was submitted, so `text[offset:]` begins
with what was found. Lists are cut at `LIMITS`; `Counts` says how many there really were.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

DocumentClass = Literal[
    "permissive",
    "weak_copyleft",
    "strong_copyleft",
    "documentation",
    "public_domain",
    "agreement",
    "policy",
    "specification",
    "guide",
    "report",
    "other",
]

LinkKind = Literal["url", "email"]
Precision = Literal["day", "month", "year"]

LICENCE_CLASSES: tuple[DocumentClass, ...] = (
    "permissive",
    "weak_copyleft",
    "strong_copyleft",
    "documentation",
    "public_domain",
)
CLASSES: tuple[DocumentClass, ...] = (
    *LICENCE_CLASSES,
    "agreement",
    "policy",
    "specification",
    "guide",
    "report",
    "other",
)

LIMITS = {"sections": 1000, "dates": 1000, "links": 1000, "terms": 500}

Offset = Annotated[int, Field(ge=0, description="Where it begins, in characters of the submitted text.")]
Score = Annotated[float, Field(ge=0, le=1)]


class _Found(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Section(_Found):
    """A section's heading."""

    title: str
    level: int = Field(ge=1, description="Depth in the outline, from 1.")
    number: str | None = Field(description="As printed: 2, 4.2.1, IV, A; null where it has none.")
    offset: Offset


class DateMention(_Found):
    """A date the text states. Never more precise than the text."""

    iso: str = Field(description="YYYY-MM-DD, YYYY-MM or YYYY, as its precision allows.")
    precision: Precision
    text: str = Field(description="As written.")
    offset: Offset


class Link(_Found):
    """A web address or an e-mail address, once however often the text has it."""

    kind: LinkKind
    target: str = Field(description="Normalized: scheme and host in lower case; an e-mail address without mailto.")
    mentions: int = Field(ge=1)
    offset: Offset


class Term(_Found):
    """A term the text itself defines."""

    term: str
    definition: str = Field(description="The defining sentence, or the beginning of a long one.")
    offset: Offset


class SummarySentence(_Found):
    """A sentence of the summary."""

    text: str
    score: Score
    offset: Offset


class Evidence(_Found):
    """One reason for a class."""

    document_class: DocumentClass
    reason: str
    weight: float = Field(gt=0)


class Classification(_Found):
    """What kind of document it is, and why."""

    document_class: DocumentClass
    score: Score
    scores: dict[DocumentClass, Score] = Field(description="Every class; they sum to 1.")
    evidence: list[Evidence] = Field(description="Heaviest first.")


class Counts(_Found):
    """Sizes. Of the lists that are cut it says how many there were before."""

    characters: int = Field(ge=0)
    words: int = Field(ge=0)
    sentences: int = Field(ge=0, description="Of the running text, without headings and code.")
    sections: int = Field(ge=0)
    dates: int = Field(ge=0)
    links: int = Field(ge=0)
    terms: int = Field(ge=0)


class Extraction(_Found):
    """Everything that is read out of a text except its class and summary."""

    title: str | None
    sections: list[Section]
    dates: list[DateMention]
    links: list[Link]
    terms: list[Term]
    counts: Counts
