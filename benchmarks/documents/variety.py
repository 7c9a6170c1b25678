"""Any number of documents of the corpus, no two of them alike, each of the class that its original has.

Invariant: number and corpus determine the text, so a result can be judged by whoever was not there. A document is its
original with an annex of its own, which says nothing that tells kinds of documents apart.
"""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.corpus import DOCUMENTS, Document, read_corpus

_PLACES = ("Ardal", "Bellmere", "Corvane", "Dunholt", "Esker", "Fallow Bridge", "Greyfen", "Harrowgate", "Inverlea")
_THINGS = ("brass lantern", "cedar chest", "green ledger", "iron kettle", "linen map", "oak barrel", "silver bell")
_HANDS = ("a careful clerk", "the night porter", "an old surveyor", "the ferry pilot", "a visiting botanist")
_WAYS = ("beside", "behind", "underneath", "on top of", "across from")
_MOST_SENTENCES = 5


@dataclass(frozen=True, slots=True)
class Varied:
    """A document of the benchmark.

    Attributes:
        number: From 0.
        original: Name of the corpus's document that it was made of.
        document_class: What it is to be classified as; None where nobody has said of its original.
    """

    number: int
    original: str
    document_class: str | None
    text: str

    @property
    def id(self) -> str:
        """Its id: unique, and in the order of the numbers."""
        return f"doc-{self.number:05d}"


def varied(count: int, folder: Path = DOCUMENTS) -> Iterator[Varied]:
    """`count` documents: the corpus over and over, each time with other annexes.

    Raises:
        OSError: The corpus cannot be read.
        ValueError: There is no document in it.
    """
    corpus = read_corpus(folder)
    if not corpus:
        raise ValueError(f"there are no documents in {folder}")
    classes = expected_classes(folder)
    for number, original in zip(range(count), itertools.cycle(corpus), strict=False):
        yield Varied(number, original.name, classes.get(original.name), _text(original, number))


def expected_classes(folder: Path = DOCUMENTS) -> dict[str, str]:
    """What class each document of the corpus has, by its file's name, as far as anybody has said."""
    file = folder / "expected.toml"
    if not file.is_file():
        return {}
    found = tomllib.loads(file.read_text(encoding="utf-8"))
    return {name: str(document["class"]) for name, document in found.items()}


def _text(original: Document, number: int) -> str:
    draw = random.Random(f"{original.name}\0{number}")
    blank_lines = draw.randint(1, 4)
    return f"{original.text.rstrip()}{chr(10) * (blank_lines + 1)}{' '.join(_annex(draw, number))}\n"


def _annex(draw: random.Random, number: int) -> Sequence[str]:
    sentences = [f"Copy number {number + 1} lies in {draw.choice(_PLACES)}, shelf {draw.randint(1, 900)}."]
    for _ in range(draw.randint(1, _MOST_SENTENCES)):
        things = draw.sample(_THINGS, 2)
        sentences.append(
            f"{draw.choice(_HANDS).capitalize()} saw {draw.randint(2, 99)} sheets {draw.choice(_WAYS)} the {things[0]} "
            f"and carried the {things[1]} to {draw.choice(_PLACES)}."
        )
    return sentences
