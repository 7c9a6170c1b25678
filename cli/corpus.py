"""The documents of a folder, as texts.

Refuses nothing that is text: bytes that are no UTF-8 are replaced, as a submitter of other people's files must.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

DOCUMENTS = Path(__file__).resolve().parent.parent / "examples" / "documents"

_SUFFIXES = frozenset({".md", ".rst", ".txt"})
_ABOUT_THE_FOLDER = frozenset({"README.md", "SOURCES.md"})


@dataclass(frozen=True, slots=True)
class Document:
    """A document.

    Attributes:
        name: The file's name.
        text: What it says.
    """

    name: str
    text: str

    def idempotency_key(self, run_id: str) -> str:
        """The same within a run however often it is sent; another in every other run."""
        return hashlib.sha256(f"{run_id}\0{self.name}\0{self.text}".encode()).hexdigest()[:40]


def read_corpus(folder: Path = DOCUMENTS) -> list[Document]:
    """The folder's documents by name.

    Raises:
        OSError: The folder or one of its files cannot be read.
    """
    return [
        Document(path.name, path.read_text(encoding="utf-8", errors="replace"))
        for path in sorted(folder.iterdir())
        if path.suffix in _SUFFIXES and path.name not in _ABOUT_THE_FOLDER
    ]
