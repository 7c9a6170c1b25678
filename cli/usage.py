"""The commands `usage` and `profile`: what tasks cost, and how much memory their workers need."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from capacity.memory import MARGIN, Advice, Measured, advise
from cli.arguments import InputError
from cli.operations import Operations

_SPAN = re.compile(r"([0-9]{1,4})([hd])")
_HOURS_IN_MONTH = 730.0
_DAYS_OF_PROFILE = "7d"

_WHYS = {
    "cheaper": "cheaper",
    "too_near_to_its_peak": "too near to its peak",
    "as_it_is": "as it is",
    "too_little_data": "too little data",
}


async def usage(options: argparse.Namespace, operations: Operations, console: Console) -> int:
    """Show what tasks cost.

    Raises:
        ApiError: The API refused, or could not be reached.
        InputError: What was typed makes no request.
    """
    answer = await operations.usage(
        {
            "group_by": options.by,
            "since": _time(options.since),
            "until": _time(options.until),
            "as_route": options.as_route,
            "as_model": options.as_model,
        }
    )
    if options.json:
        _print_json(answer)
    else:
        _show_usage(console, options.by, answer)
    return 0


async def profile(options: argparse.Namespace, operations: Operations, console: Console) -> int:
    """Recommend memory for the lanes' workers.

    Raises:
        ApiError: The API refused, or could not be reached.
        InputError: What was typed makes no request.
    """
    answer = await operations.usage({"group_by": "lane", "since": _time(options.since or _DAYS_OF_PROFILE)})
    found = [
        _advised(lane["lane"], _measured(use), options.margin, _hours_of(answer))
        for lane in answer["items"]
        for use in lane["memory"]
    ]
    if options.json:
        _print_json({"items": found, "since": answer["since"], "until": answer["until"], "margin": options.margin})
    else:
        _show_profile(console, found, options.margin)
    return 0


def _time(text: str | None) -> str | None:
    """A time as the API takes it: as it was typed, or so many hours or days ago."""
    if text is None:
        return None
    span = _SPAN.fullmatch(text)
    if span is not None:
        hours = int(span[1]) * (24 if span[2] == "d" else 1)
        moment = datetime.now(UTC) - timedelta(hours=hours)  # noqa: TID251 - the command's own clock
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is no time: 24h, 7d, or 2030-01-31T12:00:00Z") from None
    return text


def _measured(use: Any) -> Measured:
    return Measured(
        memory_mb=use["memory_mb"],
        attempts=use["attempts"],
        billed_ms=use["billed_ms"],
        cpu_ms=use["cpu_ms"],
        peak_memory_mb=use["peak_memory_mb"],
        compute_usd=use["compute_usd"],
    )


def _hours_of(answer: Any) -> float:
    span = datetime.fromisoformat(answer["until"]) - datetime.fromisoformat(answer["since"])
    return max(1.0, span.total_seconds() / 3600)


def _advised(lane: str, measured: Measured, margin: float, hours: float) -> dict[str, Any]:
    advice: Advice = advise(measured, margin)
    return {
        "lane": lane,
        "memory_mb": measured.memory_mb,
        "peak_memory_mb": measured.peak_memory_mb,
        "attempts": measured.attempts,
        "busy": round(measured.busy, 3),
        "recommended_mb": advice.memory_mb,
        "why": advice.why,
        "slower": round(advice.slower, 2),
        "saves_usd_a_month": round(advice.saves_usd * _HOURS_IN_MONTH / hours, 6),
        "saves_usd_a_million": round(advice.saves_usd / max(1, measured.attempts) * 1_000_000, 6),
    }


def _show_usage(console: Console, by: str, answer: Any) -> None:
    elsewhere = "as_if" in answer
    headings = (by, "tasks", "dead", "cost", "models", "AWS", "tokens")
    table = _table(*headings, *(("instead",) if elsewhere else ()))
    for item in answer["items"]:
        table.add_row(*_row(item[by], item, elsewhere=elsewhere))
    table.add_section()
    table.add_row(*_row("total", answer["total"], elsewhere=elsewhere))
    console.print(f"{answer['since']} to {answer['until']}", markup=False, highlight=False)
    console.print(table, markup=False)
    for line in _sentences(answer):
        console.print(line, markup=False, highlight=False)


def _row(name: str, item: Any, *, elsewhere: bool) -> Sequence[Any]:
    row = [
        Text(name),
        f"{item['tasks']:,}",
        f"{item['dead_lettered']:,}",
        *map(_dollars, (item["cost_usd"], item["model_usd"], item["compute_usd"] + item["requests_usd"])),
        f"{item['input_tokens'] + item['output_tokens']:,}",
    ]
    return [*row, _dollars(item["as_if_model_usd"])] if elsewhere else row


def _sentences(answer: Any) -> list[str]:
    pareto, found = answer["pareto"], []
    if pareto["cost_share"] is not None:
        sentence = f"{pareto['task_share']:.0%} of the tasks made {pareto['cost_share']:.0%} of the cost"
        half = pareto.get("half_of_cost_by")
        found.append(sentence + ("." if half is None else f"; half of it was made by {half:.1%} of them."))
    if "as_if" in answer:
        total, model = answer["total"], answer["as_if"]["model"]
        before, after = total["model_usd"], total["as_if_model_usd"]
        found.append(f"The same tokens with {model}: {_dollars(after)} instead of {_dollars(before)}.")
    if not answer["complete"]:
        found.append("The latest hours are not whole: more ended in them than is added up at once. Ask again later.")
    return found


def _show_profile(console: Console, found: Sequence[dict[str, Any]], margin: float) -> None:
    table = _table("lane", "memory", "peak", "attempts", "busy", "better", "a month", "why")
    for each in found:
        changed = each["recommended_mb"] != each["memory_mb"]
        table.add_row(
            each["lane"],
            f"{each['memory_mb']}",
            "-" if each["peak_memory_mb"] is None else f"{each['peak_memory_mb']}",
            f"{each['attempts']:,}",
            f"{each['busy']:.0%}",
            Text(f"{each['recommended_mb']}", style="green" if changed else ""),
            _dollars(-each["saves_usd_a_month"]) if changed else "-",
            _WHYS[each["why"]] + (f", {each['slower']:.2f} x as long" if each["slower"] > 1 else ""),
        )
    console.print(table, markup=False)
    console.print(
        f"In MB; set it as lanes.<name>.memory_mb. Never below {margin:g} times the peak; below 1769 MB less memory is "
        "less processor too.",
        markup=False,
        highlight=False,
    )


def _dollars(amount: float) -> str:
    """Cents where there are any, else as many digits as say something."""
    sign = "-" if amount < 0 else ""
    return f"{sign}${abs(amount):,.2f}" if abs(amount) >= 1 or amount == 0 else f"{sign}${abs(amount):.6f}"


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, heading in enumerate(headings):
        words = place == 0 or heading == "why"
        table.add_column(heading, overflow="fold", justify="left" if words else "right", no_wrap=not words)
    return table


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser
) -> None:
    """What can be typed."""
    since = "from that hour on: 24h, 7d, or a time such as 2030-01-31T12:00:00Z (default: %s)"
    usage = commands.add_parser("usage", parents=[shared], help="show what tasks used and cost, and who made the cost")
    usage.add_argument("--by", choices=("agent", "model", "tenant", "lane"), default="agent", help="(default: agent)")
    usage.add_argument("--since", metavar="TIME", help=since % "24h")
    usage.add_argument("--until", metavar="TIME", help="until that hour's end (default: now)")
    instead = usage.add_mutually_exclusive_group()
    instead.add_argument("--as-route", metavar="ROUTE", help="what the tokens would cost with a route's first model")
    instead.add_argument("--as-model", metavar="MODEL", help="what they would cost with that model")

    profile = commands.add_parser(
        "profile", parents=[shared], help="recommend memory for each lane, from what its attempts needed"
    )
    profile.add_argument("--since", metavar="TIME", help=since % _DAYS_OF_PROFILE)
    profile.add_argument(
        "--margin", type=_margin, default=MARGIN, metavar="N", help="at least N times the peak (default: %(default)s)"
    )


def _margin(text: str) -> float:
    margin = float(text)
    if not 1 <= margin <= 10:
        raise argparse.ArgumentTypeError("must be from 1 to 10")
    return margin
