"""Where in a TOML text a key is written. For messages only: what is not found costs the line number, nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PART = r"""(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE = re.compile(rf"^\s*\[\s*({_KEY})\s*\]")
_ASSIGNMENT = re.compile(rf"^\s*({_KEY})\s*=")


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line, from 1, of the key at `path` or of the nearest table around it."""
    best: tuple[int, int] | None = None
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = _parts(header[1])
            written = table
        elif assignment := _ASSIGNMENT.match(line):
            written = table + _parts(assignment[1])
        else:
            continue
        if written == tuple(path[: len(written)]) and (best is None or len(written) > best[0]):
            best = (len(written), number)
    return best[1] if best else None


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, key))
