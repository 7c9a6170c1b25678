"""What can be typed after `flotilla plan`."""

from __future__ import annotations

import argparse


def add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    text = "say what a load needs of AWS and costs, before anything is deployed"
    command = commands.add_parser(
        "plan",
        help=text,
        description=f"{text[0].upper()}{text[1:]}: concurrency, quotas, ramps, the busiest keys, dollars a month, and "
        "what gives way first. Reads fleet.toml and its [load.<lane>], or the load that is typed; needs no deployment. "
        "Exits with 1 where the fleet as it is set cannot carry the load.",
    )
    command.add_argument(
        "--lane", help="plan this one alone (default with --rate: the default lane; else all declared)"
    )
    command.add_argument("--rate", metavar="N/min", help="tasks: 10000/min, 167/s or 600000/h")
    numbers: tuple[tuple[str, type, str], ...] = (
        ("--seconds", float, "that a task takes, waiting included"),
        ("--slowest-seconds", float, "that the slowest of a full batch takes (default: as the others)"),
        ("--submit-batch", int, "tasks of one call of the API, up to 100 (default: 1)"),
        ("--tenants", int, "that share the tasks evenly (default: 1)"),
        ("--sessions", int, "that have work at the same time (default: 0, tasks have none)"),
        ("--payload-bytes", int, "of an input, and as much of an output (default: 100)"),
        ("--model-calls", float, "of a task (default: 0)"),
        ("--call-seconds", float, "of a model call (default: 2)"),
        ("--input-tokens", int, "of a model call"),
        ("--output-tokens", int, "of a model call"),
        ("--delayed-share", float, "of the tasks, how many are submitted for later, 0 to 1"),
        ("--delay-seconds", float, "how much later"),
        ("--tasks-per-run", int, "of the workflows that ask for the tasks (default: 0, clients submit them)"),
    )
    for name, kind, help_text in numbers:
        command.add_argument(name, type=kind, metavar="N", help=help_text)
    command.add_argument("--model", help="which of [models] is called (default: the only one there is)")
    command.add_argument("--config", metavar="FILE", help="the settings (default: FLOTILLA_CONFIG, else fleet.toml)")
    command.add_argument("--simulate", action="store_true", help="also simulate the load, minute by minute")
    command.add_argument("--minutes", type=int, default=30, metavar="N", help="so long (default: %(default)s)")
    command.add_argument("--svg", metavar="FILE", help="draw the simulation into a file")
    command.add_argument("--json", action="store_true", help="print the plan as JSON")
