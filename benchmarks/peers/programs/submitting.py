"""A submitter: reads one order a line, submits what it says, and answers in one line when each submit began and ended.

An order is {"workload", "keys", "pace_seconds", "at_once"}. With a pace the tasks are submitted one by one, each no
sooner than it is due; without one, `at_once` of them at a time, as fast as they are taken.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

Row = tuple[str, float, float, str]
"""A task's key, when its submit began and ended in milliseconds since the epoch, and the id it was given."""


def serve(submit: Callable[[str, str], str]) -> None:
    """Serve orders with a call that blocks; `submit(workload, key)` answers the task's id."""

    def carry_out(order: dict[str, Any]) -> list[Row]:
        rows: list[Row] = []
        paced = _paced(order)
        failures: list[BaseException] = []

        def strand() -> None:
            try:
                while (due := _next(paced)) is not None:
                    key, wait = due
                    time.sleep(wait())
                    began = _now_ms()
                    found = submit(order["workload"], key)
                    rows.append((key, began, _now_ms(), found))
            except BaseException as error:  # noqa: BLE001 - it is told to who gave the order
                failures.append(error)

        threads = [threading.Thread(target=strand) for _ in range(_strands(order))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return rows

    for order in _orders():
        _answer(carry_out(order))


async def serve_async(submit: Callable[[str, str], Awaitable[str]]) -> None:
    """Serve orders with a call on the event loop."""
    orders = _orders()
    while (order := await asyncio.to_thread(next, orders, None)) is not None:
        rows: list[Row] = []
        paced = _paced(order)

        async def strand(paced: _Paced = paced, order: dict[str, Any] = order, rows: list[Row] = rows) -> None:
            while (due := _next(paced)) is not None:
                key, wait = due
                await asyncio.sleep(wait())
                began = _now_ms()
                found = await submit(order["workload"], key)
                rows.append((key, began, _now_ms(), found))

        await asyncio.gather(*(strand() for _ in range(_strands(order))))
        _answer(rows)


_Due = tuple[str, Callable[[], float]]
_Paced = Iterator[_Due]
_LOCK = threading.Lock()


def _paced(order: dict[str, Any]) -> _Paced:
    first, pace = time.monotonic(), float(order["pace_seconds"])
    for number, key in enumerate(order["keys"]):
        due = first + number * pace
        yield key, lambda due=due: max(0.0, due - time.monotonic()) if pace else 0.0  # type: ignore[misc]


def _next(paced: _Paced) -> _Due | None:
    with _LOCK:
        return next(paced, None)


def _strands(order: dict[str, Any]) -> int:
    return 1 if order["pace_seconds"] else int(order["at_once"])


def _orders() -> Iterator[dict[str, Any]]:
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        yield json.loads(line)


def _answer(rows: list[Row]) -> None:
    print(json.dumps({"submitted": rows}), flush=True)


def _now_ms() -> float:
    return time.time() * 1000  # noqa: TID251 - one clock for all processes
