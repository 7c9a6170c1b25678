"""What the operating system and Lambda say of this process."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"
_ASSUMED_MEMORY_MB = 1024


class OwnProcess:
    """`ProcessGauge` of the process that asks.

    Args:
        environment: Lambda's own variables are in it.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        found = (os.environ if environment is None else environment).get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self._memory_mb = int(found) if found.isdecimal() else _ASSUMED_MEMORY_MB

    @property
    def memory_mb(self) -> int:
        """See `ProcessGauge.memory_mb`."""
        return self._memory_mb

    def cpu_us(self) -> int:
        """See `ProcessGauge.cpu_us`."""
        return time.process_time_ns() // 1000

    def peak_memory_mb(self) -> int | None:
        """See `ProcessGauge.peak_memory_mb`."""
        # What `getrusage` says begins with what the process had that started this one; this does not.
        try:
            kibibytes = next(line for line in _STATUS.read_text().splitlines() if line.startswith(_PEAK)).split()[1]
        except (OSError, StopIteration):
            return -(-resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024**2 if _in_bytes() else 1024))
        return -(-int(kibibytes) // 1024)


def _in_bytes() -> bool:
    return sys.platform == "darwin"
