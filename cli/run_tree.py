"""A run as a tree: its steps in the order of the definition, those of a map below it, each with how its tasks stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.workflows import MapCount, Run, Seen, Step, seconds_of

STATUS_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "dead_lettered": "red",
    "expired": "red",
    "cancelled": "red",
    "running": "cyan",
    "retrying": "yellow",
    "parked": "yellow",
    "waiting": "yellow",
    "pending": "dim",
}
_SIGNS = {
    "succeeded": ("✓", "+"),
    "failed": ("✗", "x"),
    "dead_lettered": ("✗", "x"),
    "expired": ("✗", "x"),
    "cancelled": ("✗", "x"),
    "running": ("●", "*"),
    "retrying": ("◐", "~"),
    "parked": ("◐", "~"),
    "waiting": ("◐", "~"),
    "pending": ("·", "."),
}
_OTHER_SIGN = ("○", "o")
_LIFE = (
    "succeeded",
    "running",
    "waiting",
    "parked",
    "retrying",
    "queued",
    "scheduled",
    "dead_lettered",
    "expired",
    "cancelled",
)
_BAR_CHARACTERS = 20
_WITHOUT_IDS = 3
WIDE_CHARACTERS = 120
"""A terminal of this width has room for ids of tasks beside the steps."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree.

    Attributes:
        inside: It is below a map.
        last: Nothing follows below the same.
        of: The step, or the map, that it shows; a map that nothing is known of yet is its name.
    """

    inside: bool
    last: bool
    of: Step | MapCount | str


def branches(run: Run) -> list[Branch]:
    """The lines of the tree, from top to bottom."""
    maps = {each["step"]: each for each in run.get("maps", [])}
    trunk: list[tuple[Step | MapCount | str, list[Step]]] = []
    of_map: dict[str, list[Step]] = {}
    for step in run.get("steps", []):
        name = step["map"]
        if name is None:
            trunk.append((step, []))
            continue
        if name not in of_map:
            trunk.append((maps.get(name, name), of_map.setdefault(name, [])))
        of_map[name].append(step)
    trunk += [(each, []) for name, each in maps.items() if name not in of_map]
    lines = []
    for index, (node, below) in enumerate(trunk):
        lines.append(Branch(False, index == len(trunk) - 1, node))
        lines += [Branch(True, number == len(below) - 1, step) for number, step in enumerate(below)]
    return lines


def tree(run: Run, *, elapsed_seconds: float | None, plain: bool = False, wide: bool = False) -> Group:
    """The tree, ready to be printed.

    Args:
        run: The run.
        elapsed_seconds: For how long it has been running; None is not known.
        plain: Draw with ASCII alone.
        wide: There is room for ids of tasks, too.
    """
    style = STATUS_STYLES.get(run["status"], "")
    head = Text(_sign(run["status"], plain=plain) + " ", style=style, no_wrap=True, overflow="ellipsis")
    head.append(run["workflow"], style="bold default").append(f"  {run['id']}", style="dim")
    head.append(f"  {run['status']}")
    if elapsed_seconds is not None:
        head.append(f"  {for_a_person(elapsed_seconds)}", style="default")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True, style="dim")
    trunk = ""
    for branch in branches(run):
        if not branch.inside:
            trunk = "" if branch.last else "|" if plain else "│"
        fork = ("`-" if plain else "└─") if branch.last else ("|-" if plain else "├─")
        guide = Text(f"{trunk:<3}{fork} " if branch.inside else f"{fork} ", style="dim")
        cells = list(_cells(guide, branch.of, plain=plain))
        table.add_row(*cells if wide else cells[:_WITHOUT_IDS])
    return Group(head, table)


def _cells(guide: Text, of: Step | MapCount | str, *, plain: bool) -> Iterator[RenderableType]:
    if isinstance(of, str):
        return iter([guide.append(_sign("pending", plain=plain) + " ", style="dim").append(of, style="default"), ""])
    if "total" in of:
        return _map_cells(guide, of, plain=plain)
    sign, style = _sign(of["status"], plain=plain), STATUS_STYLES.get(of["status"], "")
    name = guide.append(f"{sign} ", style=style or "default").append(of["name"], style="default")
    only = of["task_ids"][0] if of["tasks"] == 1 and of["task_ids"] else ""
    return iter([name, of["agent"] or "", counted(of), only])


def _map_cells(guide: Text, of: MapCount, *, plain: bool) -> Iterator[RenderableType]:
    done = of["succeeded"] + of["failed"]
    status = "pending" if not of["total"] else "running" if done < of["total"] else "succeeded"
    sign = _sign("failed" if status == "succeeded" and of["failed"] else status, plain=plain)
    style = "red" if of["failed"] else STATUS_STYLES[status]
    name = guide.append(f"{sign} ", style=style).append(of["step"], style="default")
    bar = ProgressBar(total=max(of["total"], 1), completed=done, width=_BAR_CHARACTERS)
    return iter([name, bar, map_counted(of)])


def counted(step: Step) -> str:
    """How the step's tasks stand, in words."""
    counts: Mapping[str, int] = step["counts"]
    known = sorted(counts, key=lambda status: _LIFE.index(status) if status in _LIFE else len(_LIFE))
    said = ", ".join(f"{counts[status]:,} {status}" for status in known if counts[status])
    # What has more tasks than are looked at is counted in part.
    return said if step.get("complete", True) or not said else f"at least {said}"


def map_counted(of: MapCount) -> str:
    """How far the map has got, in words."""
    said = f"{of['succeeded'] + of['failed']:,} of {of['total']:,}"
    rest = [f"{of[part]:,} {part}" for part in ("failed", "running") if of[part]]
    return ", ".join([said, *rest])


def elapsed_of(seen: Seen) -> float | None:
    """For how many seconds the run had been running when it was seen; None where nothing tells."""
    began = seconds_of(seen.run["created_at"])
    finished = seen.run["finished_at"]
    until = seconds_of(finished) if finished else seen.at
    return None if began is None or until is None else max(0.0, until - began)


def for_a_person(seconds: float) -> str:
    """A length of time, no more exact than is of use."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"


def _sign(status: str, *, plain: bool) -> str:
    return _SIGNS.get(status, _OTHER_SIGN)[plain]
