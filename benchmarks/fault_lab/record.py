"""Keeps the parts of the fault lab's results in one file: a part that is run again replaces its own section only."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import machine

RESULTS = Path(__file__).with_name("results.md")

_TITLE = "# What the fault lab shows"


def record(part: str, body: str) -> None:
    """Print a part and write it down.

    Args:
        part: Its heading.
        body: Markdown, with no heading of the first or second order.
    """
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else f"{_TITLE}\n"
    head, *sections = text.split("\n## ")
    kept = {section.partition("\n")[0]: section.partition("\n")[2].strip() for section in sections}
    kept[part] = f"Measured on: {machine()}.\n\n{body}"
    parts = [f"## {title}\n\n{kept[title]}\n" for title in sorted(kept)]
    RESULTS.write_text("\n".join([f"{head.strip()}\n", *parts]), encoding="utf-8")
    print(f"## {part}\n\n{kept[part]}")
