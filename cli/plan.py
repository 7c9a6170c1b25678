"""`flotilla plan`: what a load needs and costs, from `fleet.toml` alone; no deployment, no network.

The one command that reads the settings as synth does; what it answers is `capacity`'s.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from capacity.fleet_shape import FleetShape, LaneLoad
from capacity.planning import plan
from cli.arguments import InputError
from stacks.capacity_shape import declared_loads, load_of, shape_of
from stacks.config import ConfigError, load
from stacks.load_settings import Load
from stacks.settings_model import Fleet

_FILE = Path(__file__).resolve().parent.parent / "fleet.toml"
_RATE = re.compile(r"(?P<number>[0-9][0-9,_]*(\.[0-9]+)?)\s*(/\s*(?P<unit>s|sec|min|h|hour))?")
_PER_MINUTE = {"s": 60.0, "sec": 60.0, "min": 1.0, "h": 1 / 60, "hour": 1 / 60}

OPTIONS = (
    "seconds",
    "slowest_seconds",
    "submit_batch",
    "tenants",
    "sessions",
    "payload_bytes",
    "model_calls",
    "model",
    "call_seconds",
    "input_tokens",
    "output_tokens",
    "delayed_share",
    "delay_seconds",
    "tasks_per_run",
)
"""Of the command, named as the keys of `[load.<lane>]`; `--rate` is `rate_per_minute`."""


def run_plan(options: argparse.Namespace) -> int:
    """Print the plan; 1 where the fleet as it is set cannot carry the load.

    Raises:
        InputError: The settings cannot be used, or nothing says what is to be carried.
    """
    fleet = _settings(options)
    shape = shape_of(fleet)
    loads = _loads(options, fleet)
    found = plan(shape, loads)
    simulated = _simulated(options, shape, loads)
    if options.json:
        print(json.dumps({**found.to_json(), **({"simulation": simulated.to_json()} if simulated else {})}, indent=2))
    else:
        from cli.show_plan import show_plan

        console = Console()
        show_plan(console, found)
        if simulated is not None:
            simulated.show(console)
    if simulated is not None and options.svg:
        Path(options.svg).write_text(simulated.svg(), encoding="utf-8")
        print(f"drawn: {options.svg}", file=sys.stderr)
    return 0 if found.carries else 1


def rate_per_minute(text: str) -> float:
    """`10000/min`, `167/s`, `1e6` … as tasks a minute; without a unit it is of a minute.

    Raises:
        InputError: It is none of these.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise InputError(f"--rate: {text!r} is none of 10000/min, 167/s, 600000/h")
    number = float(match["number"].replace(",", "").replace("_", ""))
    return number * _PER_MINUTE[match["unit"] or "min"]


def _settings(options: argparse.Namespace) -> Fleet:
    path = Path(options.config or os.environ.get("FLOTILLA_CONFIG") or _FILE)
    try:
        return load(path, must_carry=False)
    except ConfigError as error:
        raise InputError(str(error)) from error


def _loads(options: argparse.Namespace, fleet: Fleet) -> list[LaneLoad]:
    given: dict[str, Any] = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    if options.rate is not None:
        given["rate_per_minute"] = rate_per_minute(options.rate)
    if not given and options.lane is None:
        loads = declared_loads(fleet)
        if not loads:
            raise InputError("what load? --rate 10000/min --seconds 6, or [load.<lane>] in fleet.toml")
        return loads
    lane = options.lane or fleet.default_lane
    if lane not in fleet.lanes:
        raise InputError(f"no lane is named {lane!r}; there are {', '.join(sorted(fleet.lanes))}")
    if "model" in given and given["model"] not in fleet.models:
        raise InputError(
            f"no model is named {given['model']!r}; there are: {', '.join(sorted(fleet.models)) or 'none'}"
        )
    declared = fleet.load[lane].model_dump(exclude_defaults=True) if lane in fleet.load else {}
    try:
        return [load_of(fleet, lane, Load.model_validate({**declared, **given}))]
    except ValidationError as error:
        raise InputError("; ".join(_said(details) for details in error.errors())) from None


def _said(details: Any) -> str:
    name = str(details["loc"][0])
    option = "--rate" if name == "rate_per_minute" else "--" + name.replace("_", "-")
    return f"{option} is missing" if details["type"] == "missing" else f"{option}: {details['msg'].lower()}"


def _simulated(options: argparse.Namespace, shape: FleetShape, loads: list[LaneLoad]) -> Any:
    if not options.simulate:
        if options.svg:
            raise InputError("--svg draws what --simulate shows")
        return None
    from cli.simulated import simulated

    return simulated(shape, loads, minutes=options.minutes)
