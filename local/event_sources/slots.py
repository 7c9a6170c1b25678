"""How many invocations may run at once: a mapping's maximum concurrency and its function's reserved concurrency.

A slot is taken *before* anything is received. A batch that were received first and throttled then would cost each of
its messages one of their receives. Pure bookkeeping under a lock; it receives and invokes nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

# What a mapping without a maximum may use here; AWS would go up to the account's limit.
DEFAULT_MAXIMUM = 5


@dataclass(frozen=True)
class Limits:
    """What a mapping may use.

    Attributes:
        function: The function's name; mappings of one function share its reserved concurrency.
        maximum: The mapping's maximum concurrency; None if it has none.
        reserved: The function's reserved concurrency; None if it has none, 0 stops it.
    """

    function: str
    maximum: int | None = None
    reserved: int | None = None


class SlotLedger:
    """Counts the slots in use, by mapping and by function. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limits: dict[str, Limits] = {}
        self._by_mapping: dict[str, int] = {}
        self._by_function: dict[str, int] = {}

    def set_limits(self, mapping: str, limits: Limits) -> None:
        """Sets a mapping's limits; lowering them takes no slot away that is in use."""
        with self._changed:
            if self._limits.get(mapping) != limits:
                self._limits[mapping] = limits
                self._changed.notify_all()

    def forget(self, mapping: str) -> None:
        """Gives a mapping no more slots."""
        with self._changed:
            self._limits.pop(mapping, None)
            self._changed.notify_all()

    def acquire(self, mapping: str, *, timeout_seconds: float) -> Slot | None:
        """Takes a slot, waiting for one if need be; None if there is none within the time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_free(mapping), timeout_seconds):
                return None
            function = self._limits[mapping].function
            self._by_mapping[mapping] = self._by_mapping.get(mapping, 0) + 1
            self._by_function[function] = self._by_function.get(function, 0) + 1
            return Slot(self, mapping, function)

    def in_use(self, mapping: str) -> int:
        """How many slots the mapping holds."""
        with self._changed:
            return self._by_mapping.get(mapping, 0)

    def wait_until_idle(self, *, timeout_seconds: float) -> bool:
        """Waits until nothing is in use; whether it came to that in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not any(self._by_mapping.values()), timeout_seconds)

    def _is_free(self, mapping: str) -> bool:
        limits = self._limits.get(mapping)
        if limits is None:
            return False
        maximum = limits.maximum if limits.maximum is not None else DEFAULT_MAXIMUM
        if self._by_mapping.get(mapping, 0) >= maximum:
            return False
        return limits.reserved is None or self._by_function.get(limits.function, 0) < limits.reserved

    def give_back(self, mapping: str, function: str) -> None:
        """Frees a slot; called by `Slot.release` only."""
        with self._changed:
            self._by_mapping[mapping] -= 1
            self._by_function[function] -= 1
            self._changed.notify_all()


class Slot:
    """The right to run one invocation; released once, however often it is asked to."""

    def __init__(self, ledger: SlotLedger, mapping: str, function: str) -> None:
        self._ledger: SlotLedger | None = ledger
        self._mapping = mapping
        self._function = function

    def release(self) -> None:
        """Gives the slot back."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.give_back(self._mapping, self._function)
