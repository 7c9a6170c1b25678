"""Plots of the scaling benchmark, as SVG files that come out the same from the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fault_lab.peers import install
from benchmarks.scaling.contest import OURS, SAME_WAIT, Run

FOLDER = Path(__file__).with_name("plots")

_COLOURS = ("#0b6e4f", "#c1440e", "#7b4fa3", "#2b6cb0")
_SHOWN = (OURS, SAME_WAIT, "target tracking, 70% used", "target tracking, 10 waiting each")


def _pyplot() -> Any:
    install()
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "scaling", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    return plt


def _keep(figure: Any, name: str, title: str) -> str:
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    _pyplot().close(figure)
    return f"![{title}](plots/{name}.svg)"


def over_time(name: str, about: str, runs: Sequence[Run]) -> str:
    """What one lane was given, what each policy allowed it, and how long its tasks waited."""
    plt = _pyplot()
    shown = [run for policy in _SHOWN for run in runs if run.policy == policy]
    figure, (rate, size, wait) = plt.subplots(3, 1, sharex=True, figsize=(8, 6.5), height_ratios=(1, 2, 2))
    series = [next(iter(run.result.lanes.values())).series for run in shown]
    hours = [point.at / 3600 for point in series[0]]
    rate.fill_between(hours, [point.arrived / 60 for point in series[0]], color="#bbbbbb")
    rate.set_ylabel("tasks a second")
    rate.set_title(f"{name}: {about}")
    for run, points, colour in zip(shown, series, _COLOURS, strict=False):
        size.step(hours, [point.concurrency for point in points], where="pre", label=run.policy, color=colour)
        wait.plot(hours, [max(0.01, point.wait_p95) for point in points], color=colour, linewidth=1)
    size.set_ylabel("workers allowed")
    size.set_ylim(bottom=0)
    wait.set_yscale("log")
    wait.set_ylabel("wait, p95 of each minute, s")
    wait.set_xlabel("hours")
    figure.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 0.04))
    for axes in (rate, size, wait):
        axes.grid(visible=True, alpha=0.3)
        axes.set_xlim(0, hours[-1])
    return _keep(figure, name.replace(" ", "_"), f"{name} over time")


def lending(name: str, runs: Sequence[Run]) -> str:
    """What two lanes reserved and were allowed over time, with our policy."""
    plt = _pyplot()
    lanes = next(run for run in runs if run.policy == OURS).result.lanes
    figure, rows = plt.subplots(len(lanes), 1, sharex=True, figsize=(8, 5))
    for (lane, result), axes, colour in zip(lanes.items(), rows, _COLOURS, strict=False):
        hours = [point.at / 3600 for point in result.series]
        reserved = [point.reserved or 0 for point in result.series]
        axes.step(hours, reserved, where="pre", color="#999999", label="reserved", linestyle="--")
        axes.step(
            hours, [point.concurrency for point in result.series], where="pre", color=colour, label="workers allowed"
        )
        axes.fill_between(hours, [point.busy for point in result.series], color=colour, alpha=0.25, label="at work")
        axes.set_title(lane, loc="left")
        axes.set_ylim(0, 1.25 * max(reserved))
        axes.set_xlim(0, hours[-1])
        axes.grid(visible=True, alpha=0.3)
        axes.legend(frameon=False, loc="upper left", ncols=3)
    rows[-1].set_xlabel("hours")
    return _keep(figure, name.replace(" ", "_").replace(",", ""), f"{name}: lent and given back")


def costs(all_runs: Sequence[tuple[str, Sequence[Run]]]) -> str:
    """What each policy costs on each load, ours being one."""
    plt = _pyplot()
    policies = (*_SHOWN[1:], "static, the whole share")
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for at, (policy, colour) in enumerate(zip(policies, ("#c1440e", "#7b4fa3", "#2b6cb0", "#777777"), strict=True)):
        ratios = []
        for _, runs in all_runs:
            dollars = {run.policy: run.result.dollars for run in runs}
            ratios.append(dollars[policy] / dollars[OURS])
        places = [place + (at - 1.5) * 0.2 for place in range(len(ratios))]
        axes.bar(places, ratios, width=0.2, color=colour, label=policy)
    axes.axhline(1.0, color="#0b6e4f", linewidth=2, label=OURS)
    axes.set_xticks(range(len(all_runs)), [name.replace(", ", ",\n") for name, _ in all_runs], rotation=20)
    axes.set_ylabel("cost, ours = 1")
    axes.set_title("What each policy costs")
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.legend(frameon=False)
    return _keep(figure, "costs", "What each policy costs")
