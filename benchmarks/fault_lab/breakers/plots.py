"""Plots of the breaker's part, as SVG files that come out the same from the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fault_lab.peers import install

FOLDER = Path(__file__).resolve().parents[1] / "plots"

_COLOURS = ("#0b6e4f", "#c1440e", "#7b4fa3", "#2b6cb0", "#777777")


def _figure(title: str, across: str, up: str) -> tuple[Any, Any]:
    install()
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "fault-lab", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _keep(figure: Any, axes: Any, name: str) -> str:
    from matplotlib import pyplot as plt

    axes.legend(frameon=False)
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    plt.close(figure)
    return f"![{axes.get_title()}](plots/{name}.svg)"


def wasted_by_size(sizes: Sequence[int], wasted: Mapping[str, Sequence[float]], rate: int) -> str:
    """Calls wasted on a dead dependency over the size of the fleet."""
    figure, axes = _figure(f"Calls wasted in a hard outage, {rate}/s each", "environments", "calls")
    for (name, counts), colour in zip(wasted.items(), _COLOURS, strict=False):
        axes.loglog(sizes, counts, marker="o", label=name, color=colour)
    return _keep(figure, axes, "breakers_wasted_by_size")


def wasted_over_time(costly: Mapping[str, Sequence[float]], size: int, rate: int, seconds: float) -> str:
    """How the wasted calls add up within an outage."""
    title = f"Wasted calls as the outage goes on, {size} environments, {rate}/s each"
    figure, axes = _figure(title, "seconds of outage", "calls so far")
    for (name, times), colour in zip(costly.items(), _COLOURS, strict=False):
        # A few hundred points draw the same line as thousands.
        step = max(1, len(times) // 300)
        places = [*range(0, len(times), step), *([len(times) - 1] if times else [])]
        across, up = [times[one] for one in places], [one + 1 for one in places]
        axes.step([*across, seconds], [*up, len(times)], where="post", label=name, color=colour)
    axes.set_yscale("log")
    return _keep(figure, axes, "breakers_wasted_over_time")
