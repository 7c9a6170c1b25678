"""How a run goes: a tree that is redrawn in place on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live

from cli.run_tree import WIDE_CHARACTERS, branches, counted, elapsed_of, map_counted, tree
from cli.workflows import MapCount, Run, Seen, Step

_DRAWN_A_SECOND = 4
_LINES_OF_A_MAP = 8
"""About as many lines tell of a map's progress where no bar can be drawn."""


class Board(Protocol):
    """Is told how a run goes."""

    def show(self, seen: Seen) -> None:
        """It was seen like this."""
        ...


class LiveBoard:
    """A tree that is redrawn in place; its time goes on between two looks.

    Args:
        plain: Draw with ASCII alone.
        wide: There is room for ids of tasks, too.
        monotonic: Reads a clock that never goes back, in seconds.
    """

    def __init__(self, *, plain: bool, wide: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._plain = plain
        self._wide = wide
        self._monotonic = monotonic
        self._run: Run | None = None
        self._began: float | None = None
        self._took: float | None = None

    def show(self, seen: Seen) -> None:
        """See `Board.show`."""
        elapsed = elapsed_of(seen)
        # The first look decides: the deployment says the time in whole seconds.
        if elapsed is not None and self._began is None:
            self._began = self._monotonic() - elapsed
        self._took = elapsed if seen.run["finished_at"] else None
        self._run = seen.run

    def drawn(self) -> Group:
        """What is to be seen now."""
        if self._run is None:
            return Group()
        so_far = None if self._began is None else self._monotonic() - self._began
        elapsed = so_far if self._took is None else self._took
        return tree(self._run, elapsed_seconds=elapsed, plain=self._plain, wide=self._wide)


class PlainBoard:
    """Lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}
        self._run_status: str | None = None

    def show(self, seen: Seen) -> None:
        """See `Board.show`."""
        run = seen.run
        if run["status"] != self._run_status:
            self._run_status = run["status"]
            self._line(f"{run['id']}  {run['workflow']} {run['status']}")
        for branch in branches(run):
            of = branch.of
            if isinstance(of, str):
                continue
            if "total" in of:
                line = f"  {of['step']}: {map_counted(of)}"
                self._say(f"map {of['step']}", _eighth(of), line, silent=not of["total"])
            else:
                self._say(f"step {of['name']}", _gist(of), _told(of), silent=of["status"] == "pending")

    def _say(self, what: str, gist: str, line: str, *, silent: bool) -> None:
        if not silent and self._said.get(what) != gist:
            self._said[what] = gist
            self._line(line)

    def _line(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _eighth(of: MapCount) -> str:
    return str((of["succeeded"] + of["failed"]) * _LINES_OF_A_MAP // max(of["total"], 1))


def _gist(step: Step) -> str:
    # Of what a map does a thousand times not each change is told; the map's own line tells how far it is.
    return step["status"] if step["map"] else f"{step['status']} {counted(step)}"


def _told(step: Step) -> str:
    task = f"  {step['task_ids'][0]}" if step["tasks"] == 1 and step["task_ids"] else ""
    counts = counted(step)
    told = "" if counts == f"1 {step['status']}" else f" ({counts})" if counts else ""
    return f"  {step['name']}: {step['status']}{told}{task}"


@contextmanager
def board_on(console: Console) -> Iterator[Board]:
    """A board that suits where the console writes to; what was redrawn in place is gone afterwards."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainBoard(console)
        return
    board = LiveBoard(plain=is_plain(console), wide=console.width >= WIDE_CHARACTERS)
    with Live(
        get_renderable=board.drawn,
        console=console,
        refresh_per_second=_DRAWN_A_SECOND,
        transient=True,
        vertical_overflow="ellipsis",
    ):
        yield board


def is_plain(console: Console) -> bool:
    """Whether the console can be trusted with ASCII alone."""
    return not console.encoding.lower().startswith("utf")
