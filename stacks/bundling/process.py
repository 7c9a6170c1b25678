"""Runs the programs that building takes. What they print is shown only when they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

_SHOWN_LINES = 25


class BundlingError(Exception):
    """Something could not be built. The message is complete: show it and stop."""


def run_python(what: str, arguments: Sequence[str], extra_environment: Mapping[str, str] | None = None) -> None:
    """Runs this interpreter with `arguments`.

    Args:
        what: What is being done, for the message.
        arguments: Its command line.
        extra_environment: Laid over this process's environment.

    Raises:
        BundlingError: It failed; the message ends with what it printed last.
    """
    always = {
        "PYTHONDONTWRITEBYTECODE": "1",  # the sources stay free of compiled files
        "PYTHONHASHSEED": "0",  # sets are written to compiled files in one order
        "PYTHONUNBUFFERED": "1",  # what it prints comes in the order in which it was printed
    }
    environment = {**os.environ, **always, **(extra_environment or {})}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-_SHOWN_LINES:])
        raise BundlingError(f"{what} failed:\n{tail}")
