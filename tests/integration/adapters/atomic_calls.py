"""Calls that overtake each other but are whole, as DynamoDB's are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from tests.fakes import run_on_thread

T = TypeVar("T")

_ONE_AT_A_TIME = threading.Lock()


async def run_atomically(function: Callable[..., T], *args: Any) -> T:
    """`RunSync` for moto, which looks at a condition and writes in two steps."""

    def locked() -> T:
        with _ONE_AT_A_TIME:
            return function(*args)

    return await run_on_thread(locked)
