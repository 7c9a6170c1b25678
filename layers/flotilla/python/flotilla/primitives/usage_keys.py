"""Where what ended in an hour lies: its logs in the archive, and what they came to beside them.

Keys are in the order of time, so that what lies between two times can be listed.
"""

from __future__ import annotations

import calendar
import re
import time

from flotilla.primitives.usage_hour import hour_of

ARCHIVE = "archive/"
USAGE = "usage/"

_HOUR = re.compile(r"(?:archive|usage)/([0-9]{4})/([0-9]{2})/([0-9]{2})/([0-9]{2})[/.]")


def after_hour(at_ms: int, prefix: str = ARCHIVE) -> str:
    """The keys of the hour in which `at_ms` is, and of all later ones, come after this one; no earlier one does."""
    return f"{prefix}{_path(at_ms)}"


def usage_key(begins_ms: int) -> str:
    """Where it is kept what an hour came to."""
    return f"{USAGE}{_path(begins_ms)}.json"


def hour_in(key: str) -> int | None:
    """When the hour begins that a key belongs to; None where it belongs to none."""
    found = _HOUR.match(key)
    if found is None:
        return None
    year, month, day, hour = map(int, found.groups())
    return calendar.timegm((year, month, day, hour, 0, 0)) * 1000


def _path(at_ms: int) -> str:
    return time.strftime("%Y/%m/%d/%H", time.gmtime(hour_of(at_ms) / 1000))
