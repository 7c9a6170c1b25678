"""A cursor leads on in the list that it came from, and in no other."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.models import Status
from flotilla.primitives.cursor import cursor_after, place_of, position
from flotilla.read_model import DeadFilter, EntryFilter

FILTERS = st.builds(
    EntryFilter,
    st.text(max_size=5),
    status=st.none() | st.sampled_from(Status),
    agent=st.none() | st.text(max_size=3),
    session=st.none() | st.text(max_size=3),
    created_after_ms=st.none() | st.integers(0, 5),
    finished=st.none() | st.booleans(),
) | st.builds(DeadFilter, st.none() | st.text(max_size=3), st.none() | st.text(max_size=3))

PLACES = st.builds(position, st.integers(0, 10**13 - 1), st.from_regex(r"tsk_[0-9a-f]{32}", fullmatch=True))


@given(FILTERS, PLACES)
def test_it_says_where_the_page_before_ended(wanted: EntryFilter | DeadFilter, place: str) -> None:
    cursor = cursor_after(wanted, place)
    assert place_of(wanted, cursor) == place
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum(), "fit for a query string"


@given(FILTERS, FILTERS, PLACES)
def test_it_fits_no_other_list(one: EntryFilter | DeadFilter, other: EntryFilter | DeadFilter, place: str) -> None:
    if one != other:
        with pytest.raises(ValueError, match="cursor"):
            place_of(other, cursor_after(one, place))


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_anything_else_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        place_of(EntryFilter("acme"), text)


def test_what_a_later_version_asks_for_besides_does_not_void_it() -> None:
    """Only what is asked for is in it: a member that is added, and not used, changes no cursor."""
    cursor = cursor_after(EntryFilter("acme", agent="a"), position(1, "t"))
    assert place_of(replace(EntryFilter("acme", agent="a"), archived=None), cursor) == position(1, "t")


def test_later_is_greater() -> None:
    assert position(999, "b") < position(1000, "a") < position(1000, "b")
