"""`flotilla verify`: are logs whole, as they were written? Live ones by the API, archived ones from a file.

What the API tells of a log is checked here, on this machine: each event is told back to what was written, and its hash
computed anew. The API is not asked whether the log is whole.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from cli.arguments import InputError
from cli.client import FlotillaClient
from flotilla.errors import CorruptLogError
from flotilla.events.archive_file import logs_in
from flotilla.events.told import untell_log
from flotilla.services.verify import Finding, Verification, verify_log


async def verify(options: argparse.Namespace, client: FlotillaClient | None) -> int:
    """Check the logs that were asked for, print what was found; 1 where one is not whole.

    Args:
        options: What was typed.
        client: The deployment that live logs are asked of; an archived file needs none.

    Raises:
        ApiError: There is no such task, or the API could not be reached.
        InputError: No log was named, or the file cannot be read.
    """
    if bool(options.task_ids) == bool(options.archive):
        raise InputError("say which: task ids, or --archive FILE")
    if client is None or options.archive:
        found = _archived(Path(options.archive))
    else:
        found = [await _live(client, task_id) for task_id in options.task_ids]
    if options.json:
        print(json.dumps([_plain(task_id, each) for task_id, each in found], indent=2))
    else:
        for task_id, each in found:
            _show(task_id, each)
    broken = sum(not each.whole for _, each in found)
    print(f"{len(found) - broken} of {len(found)} logs are whole", file=sys.stderr)
    return 1 if broken else 0


async def _live(client: FlotillaClient, task_id: str) -> tuple[str, Verification]:
    views: list[Any] = list(await client.events(task_id))
    try:
        events = untell_log(views, task_id=task_id)
    except CorruptLogError as error:
        return task_id, Verification(task_id, len(views), (Finding(None, error.message),), None)
    return task_id, verify_log(events)


def _archived(path: Path) -> list[tuple[str, Verification]]:
    try:
        logs = logs_in(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except CorruptLogError as error:
        return [(str(path), Verification(str(path), 0, (Finding(None, error.message),), None))]
    return [(task_id, verify_log(events)) for task_id, events in sorted(logs.items())]


def _plain(task_id: str, found: Verification) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "whole": found.whole,
        "events": found.events,
        "status": None if found.state is None else found.state.status.value,
        "findings": [{"seq": each.seq, "what": each.what} for each in found.findings],
    }


def _show(task_id: str, found: Verification) -> None:
    status = "" if found.state is None else f", {found.state.status.value}"
    print(f"{task_id}  {'whole' if found.whole else 'NOT WHOLE'}: {found.events} events{status}")
    for each in found.findings:
        where = "" if each.seq is None else f"event {each.seq} "
        print(f"  {where}{each.what}")
