"""Draws what was measured, as SVG that is the same for the same figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fault_lab.limits.outage import PHASES, Outlived
from benchmarks.fault_lab.limits.race import Raced
from benchmarks.fault_lab.peers import peer

FOLDER = Path(__file__).parent.parent / "plots"
_POINTS = 150


def draw_race(raced: Sequence[Raced], name: str = "limits_race.svg") -> None:
    """Admissions of the race so far, over time, and what the limit allows."""
    with _figure(name, "seconds", "admitted so far") as axes:
        for one in raced:
            step = max(1, len(one.admitted) // _POINTS)
            places = range(0, len(one.admitted), step)
            skew = f", ±{one.bucket.skew_ms / 1000:g} s" if one.bucket.skew_ms else ""
            axes.plot([one.admitted[k] for k in places], [k + 1 for k in places], label=one.bucket.name + skew)
        if raced:
            ends = [0.0, raced[0].seconds]
            limit = raced[0].bucket.limit
            allowed = [limit.burst + limit.rate_per_minute / 60 * at for at in ends]
            axes.plot(ends, allowed, "k--", label="burst + rate * t")


def draw_writes(sizes: Sequence[int], series: dict[str, Sequence[float]], name: str = "limits_writes.svg") -> None:
    """Write units an admission, by the number of environments."""
    with _figure(name, "environments", "write units an admission") as axes:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for label, values in series.items():
            axes.plot(sizes[: len(values)], values, marker="o", label=label)
        axes.axhline(1.05, color="grey", linestyle=":")
        axes.axhline(0.1, color="grey", linestyle=":")


def draw_outage(outlived: Sequence[Outlived], name: str = "limits_outage.svg") -> None:
    """Admissions a second through the outage."""
    with _figure(name, "seconds", "admitted a second") as axes:
        for one in outlived:
            seconds = range(0, int(one.outcome.seconds), 2)
            axes.plot(seconds, [one.a_minute(at, at + 2) / 60 for at in seconds], label=one.name)
        for label, since, until in PHASES[1:3]:
            shade = 0.4 if "down" in label else 0.2
            axes.axvspan(since, until, color="grey", alpha=shade, label=f"the store {label}")


@contextmanager
def _figure(name: str, across: str, up: str) -> Iterator[Any]:
    matplotlib = peer("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "flotilla", "svg.fonttype": "none", "font.size": 9})
    figure = peer("matplotlib.figure").Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    yield axes
    axes.legend(fontsize=8)
    axes.grid(visible=True, alpha=0.3)
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / name, metadata={"Date": None})
