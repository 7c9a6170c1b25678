"""How a benchmark's result is written down: what was measured, on what, when not said by the numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path


def machine() -> str:
    """One line about the machine a benchmark ran on."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, CPython {platform.python_version()}"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns also line up in a terminal."""
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(len(heading))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(heading), line(["-" * width for width in widths]), *(line(row) for row in rows)])


def publish(script: str, title: str, body: str) -> None:
    """Print a result and keep it as `results.md` beside the script.

    Args:
        script: The script's `__file__`.
        title: Heading of the result.
        body: Markdown.
    """
    text = f"# {title}\n\nMeasured on: {machine()}.\n\n{body}\n"
    Path(script).with_name("results.md").write_text(text, encoding="utf-8")
    print(text)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
