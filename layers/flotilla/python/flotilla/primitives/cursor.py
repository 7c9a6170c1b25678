"""Where a page of a list ended, as an opaque text that fits only the list it came from.

A position is `{time in ms:013d}#{id}`: unique, and fixed for as long as an entry lives in a list. Going on from a
position, and not from a count, is what keeps pages stable while entries come: the next page holds exactly what is
older, nothing twice and nothing left out.

Refuses a cursor of another filter, and so of another tenant. It is not signed, because nothing depends on it: whose
entries are read is said by the filter, never by the cursor, and whoever makes one up chooses no more than where in
their own list to begin.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import fields

from flotilla.models import canonical_json
from flotilla.read_model import DeadFilter, EntryFilter, RunFilter, RunsFilter

_DIGEST_BYTES = 9  # with it the digest's base64 needs no padding
_LONGEST = 600
_POSITION = re.compile(r"[0-9]{13}#[!-~]{1,200}")

Filter = EntryFilter | DeadFilter | RunFilter | RunsFilter
"""What a list can be asked for by."""


def position(at_ms: int, entry_id: str) -> str:
    """The place of an entry in a list by time; later entries have greater ones."""
    return f"{at_ms:013d}#{entry_id}"


def cursor_after(wanted: Filter, place: str) -> str:
    """The cursor of the page that follows the entry at `place`."""
    return base64.urlsafe_b64encode(_digest(wanted) + place.encode()).decode().rstrip("=")


def place_of(wanted: Filter, cursor: str) -> str:
    """The position after which the page begins.

    Raises:
        ValueError: The cursor is none of this filter's.
    """
    if not cursor.isascii() or len(cursor) > _LONGEST:
        raise ValueError("no cursor")
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = content[_DIGEST_BYTES:].decode("ascii")
    except ValueError:
        raise ValueError("no cursor") from None
    if content[:_DIGEST_BYTES] != _digest(wanted) or not _POSITION.fullmatch(place):
        raise ValueError("a cursor of another list")
    return place


def _digest(wanted: Filter) -> bytes:
    # Only what is asked for: a member that a later version adds does not void the cursors of those who do not use it.
    asked = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    asked = {name: value for name, value in asked.items() if value is not None}
    return hashlib.sha256(canonical_json([type(wanted).__name__, asked]).encode()).digest()[:_DIGEST_BYTES]
