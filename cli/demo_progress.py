"""How far the demo is: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from cli.demo_rows import Row

_LINES = 8
"""About as many lines are written where no bar can be drawn."""


class Board(Protocol):
    """Is told how the demo goes."""

    def submitted(self) -> None:
        """One more document is a task."""
        ...

    def finished(self, row: Row) -> None:
        """One more document is done, well or badly."""
        ...


class LiveBoard:
    """A bar that is redrawn in place."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._submitted = 0
        self._failed = 0
        self._bar: TaskID = progress.add_task("", total=total, state="")
        self._show()

    def submitted(self) -> None:
        """See `Board.submitted`."""
        self._submitted += 1
        self._show()

    def finished(self, row: Row) -> None:
        """See `Board.finished`."""
        self._failed += not row.complete
        self._progress.advance(self._bar)
        self._show()

    def _show(self) -> None:
        state = f"{self._submitted} submitted" if self._submitted < self._total else "all submitted"
        failed = f" · [red]{self._failed} failed[/]" if self._failed else ""
        self._progress.update(self._bar, state=state + failed)


class PlainBoard:
    """Lines, for logs and pipes."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._failed = 0

    def submitted(self) -> None:
        """See `Board.submitted`."""

    def finished(self, row: Row) -> None:
        """See `Board.finished`."""
        self._done += 1
        self._failed += not row.complete
        # A line whenever another eighth is full, the last one included.
        if self._done * _LINES // self._total > (self._done - 1) * _LINES // self._total:
            failed = f", {self._failed} failed" if self._failed else ""
            self._console.print(f"  {self._done} of {self._total} done{failed}", highlight=False)


@contextmanager
def board_on(console: Console, total: int) -> Iterator[Board]:
    """A board that suits where the console writes to; what it drew is gone afterwards."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainBoard(console, total)
        return
    with Progress(
        SpinnerColumn(),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total} done · {task.fields[state]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        expand=True,
    ) as progress:
        yield LiveBoard(progress, total)
