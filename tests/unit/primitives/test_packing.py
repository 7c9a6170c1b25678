"""Packs keep everything, in order, within both bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.packing import packed


@given(st.lists(st.integers(0, 120)), st.integers(1, 10), st.integers(1, 100))
def test_packs_hold_everything_in_order_within_their_bounds(sizes: list[int], items: int, room: int) -> None:
    packs = list(packed(sizes, lambda size: size, max_items=items, max_bytes=room))
    assert [size for pack in packs for size in pack] == sizes
    assert all(0 < len(pack) <= items for pack in packs)
    assert all(sum(pack) <= room or len(pack) == 1 for pack in packs)


def test_packs_are_as_full_as_may_be() -> None:
    assert list(packed([1] * 25, lambda size: size, max_items=10, max_bytes=100)) == [[1] * 10, [1] * 10, [1] * 5]
    assert list(packed([60, 40, 1, 99, 2], lambda size: size, max_items=10, max_bytes=100)) == [[60, 40], [1, 99], [2]]
