"""The files that a document has one write: a path in backticks and a colon, and below it what the file says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.docs.markdown import REPOSITORY

WORKFLOWS = REPOSITORY / "docs" / "workflows.md"

_FILE = re.compile(r"`([\w.-]+/[\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINE = re.compile(r"^Below `\[workflows\]` in `fleet\.toml`:\n\n```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TABLE = "[workflows]\n"


def files(document: Path) -> dict[str, str]:
    """What each file of a document says, by its path."""
    return dict(_FILE.findall(document.read_text(encoding="utf-8")))


def workflow_lines(document: Path) -> str:
    """What a document has one add below `[workflows]` of `fleet.toml`."""
    return "".join(_LINE.findall(document.read_text(encoding="utf-8")))


def write(checkout: Path, document: Path) -> None:
    """Do in a copy of the repository what the document has one do by hand."""
    for name, text in files(document).items():
        (checkout / name).write_text(text, encoding="utf-8")
    settings = checkout / "fleet.toml"
    text = settings.read_text(encoding="utf-8")
    assert text.count(_TABLE) == 1
    settings.write_text(text.replace(_TABLE, _TABLE + workflow_lines(document)), encoding="utf-8")
