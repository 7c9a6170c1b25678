"""Results as Markdown, for a person."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.load.histogram import Histogram
from benchmarks.load.run import Result
from benchmarks.report import table

_PERCENTILES = (50, 95, 99)


def markdown(results: Sequence[Result]) -> str:
    """The results of runs of one deployment, a line for each rate."""
    heading = [
        "rate a second",
        "sent",
        "accepted",
        "submit p50/p95/p99 ms",
        "by service time",
        "to finish p50/p95/p99 ms",
        "harness late p99 ms",
        "lost",
        "doubled",
    ]
    rows = [
        [
            f"{result.plan.rate:g} {result.plan.arrivals}",
            str(result.sent),
            str(result.reconciled.accepted),
            _shown(result.submit),
            _shown(result.service),
            _shown(result.reconciled.to_finish),
            _ms(result.late.percentile_ms(99)),
            str(len(result.reconciled.lost)),
            str(len(result.reconciled.doubled)),
        ]
        for result in results
    ]
    notes = [line for result in results for line in _notes(result)]
    return "\n\n".join([table(heading, rows), *notes])


def _notes(result: Result) -> list[str]:
    done = result.reconciled
    ends = ", ".join(f"{count} {end}" for end, count in sorted(done.ends.items())) or "none"
    words = ", ".join(f"{count} {word}" for word, count in sorted(result.words.items()))
    said = (
        f"At {result.plan.rate:g} a second for {result.plan.seconds:g} s: {words}; ended: {ends}. Reconciled in "
        f"{done.calls} calls, {done.logs} logs read event by event ({done.again} with more than one attempt), "
        f"{done.replays} keys sent again."
    )
    lines = [said]
    if done.unknown:
        lines.append(
            f"Of {done.unknown} submits without an answer {done.found} had been accepted all the same; all were sent "
            "again, with their keys."
        )
    lines += [f"**Lost**: {task_id}" for task_id in done.lost[:10]]
    lines += [f"**Doubled**: {what}" for what in done.doubled[:10]]
    return lines


def _shown(histogram: Histogram) -> str:
    return "/".join(_ms(histogram.percentile_ms(percent)) for percent in _PERCENTILES)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
