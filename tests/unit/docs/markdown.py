"""The repository's documents, and what can be checked of them: links, and blocks of code by language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]

_NOT_OURS = frozenset({".build", ".engine-venv", ".flotilla", ".git", ".venv", "cdk.out", "node_modules"})
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(.+)$", re.MULTILINE)


def documents() -> list[Path]:
    """Every Markdown file that was written here; the corpus was not."""
    found = []
    for path in sorted(REPOSITORY.rglob("*.md")):
        parts = path.relative_to(REPOSITORY).parts
        in_corpus = parts[:2] == ("examples", "documents") and path.name not in ("README.md", "SOURCES.md")
        if not _NOT_OURS.intersection(parts) and not in_corpus:
            found.append(path)
    return found


def blocks(path: Path, language: str) -> list[str]:
    """The document's blocks in that language, in order."""
    return [code for found, code in _FENCED.findall(path.read_text(encoding="utf-8")) if found == language]


def links(path: Path) -> Iterator[str]:
    """Where the document links to, outside of code."""
    yield from _LINK.findall(_FENCED.sub("", path.read_text(encoding="utf-8")))


def anchors(path: Path) -> set[str]:
    """What a link into the document may name, as GitHub makes it of the headings."""
    headings = _HEADING.findall(_FENCED.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
