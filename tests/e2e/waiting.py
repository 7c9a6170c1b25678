"""Waiting for what a deployed fleet is to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 90.0
"""Well above the longest retry of a test."""


def eventually(look: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS, every: float = 0.1) -> T:
    """What `look` finds, once it finds something.

    Args:
        look: Looks; None or False for nothing yet.
        what: What is awaited, for whoever reads that it did not come.
        seconds: How long to wait for it.
        every: Seconds between two looks: more where a look is work for the fleet.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(every)
