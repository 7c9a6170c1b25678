"""Counts what the functions of a fleet do while they run in this process: AWS calls, capacity units, log bytes, time.

The units are those that the engine says were consumed, which it counts as DynamoDB does: a write unit for each begun
kilobyte, index writes included; for each begun four kilobytes a read unit, or half of one if read eventually.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flotilla.runtime import clients

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})


class CountedText(io.TextIOBase):
    """Takes the place of standard output; counts and forgets what is printed.

    Attributes:
        bytes: How much it was.
    """

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, text: str) -> int:
        """Count `text`."""
        self.bytes += len(text.encode())
        return len(text)


@dataclass(slots=True)
class Meter:
    """What was counted.

    Attributes:
        calls: AWS calls by function, service and operation.
        write_units: By function and table.
        read_units: By function and table.
        invocations: By function.
        cpu_ms: Milliseconds of this process inside each function.
        log_bytes: Printed by each function.
        stored_bytes: In the events table.
    """

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    write_units: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    read_units: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    invocations: Counter[str] = field(default_factory=Counter)
    cpu_ms: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    log_bytes: Counter[str] = field(default_factory=Counter)
    stored_bytes: int = 0
    _function: str = ""
    _printed: CountedText = field(default_factory=CountedText)

    def attach(self) -> None:
        """Count, from now on, the calls of the functions' own clients and what they print.

        Before the first function runs: its logger keeps the stream that is there then.
        """
        sys.stdout = self._printed
        for client in (clients.dynamodb(), clients.sqs(), clients.s3()):
            client.meta.events.register("before-parameter-build.dynamodb", _ask_for_capacity)
            client.meta.events.register("after-call", self._count)

    def forget(self) -> None:
        """Count from nothing again."""
        for count in (self.calls, self.write_units, self.read_units, self.invocations, self.cpu_ms, self.log_bytes):
            count.clear()
        self.stored_bytes = 0

    @contextlib.contextmanager
    def inside(self, function: str) -> Iterator[None]:
        """Count for an invocation of `function`."""
        self._function = function
        printed, began = self._printed.bytes, time.process_time()
        try:
            yield
        finally:
            self.invocations[function] += 1
            self.cpu_ms[function] += (time.process_time() - began) * 1000
            self.log_bytes[function] += self._printed.bytes - printed
            self._function = ""

    def to_json(self) -> dict[str, Any]:
        """The count as JSON; keys of several parts joined by a blank."""
        names = ("calls", "write_units", "read_units", "invocations", "cpu_ms", "log_bytes")
        counts = {
            name: {key if isinstance(key, str) else " ".join(key): count for key, count in getattr(self, name).items()}
            for name in names
        }
        return {**counts, "stored_bytes": self.stored_bytes}

    def _count(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        service = model.service_model.service_name
        self.calls[self._function, service, model.name] += 1
        consumed = parsed.get("ConsumedCapacity")
        for each in consumed if isinstance(consumed, list) else [consumed] if consumed else []:
            units = self.write_units if model.name in _WRITES else self.read_units
            units[self._function, each["TableName"]] += each["CapacityUnits"]


def _ask_for_capacity(params: dict[str, Any], model: Any, **_: Any) -> None:
    if "ReturnConsumedCapacity" in model.input_shape.members:
        params["ReturnConsumedCapacity"] = "TOTAL"
