"""Packs items into requests that may hold so many items and so many bytes, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def packed(items: Sequence[T], size: Callable[[T], int], *, max_items: int, max_bytes: int) -> Iterator[list[T]]:
    """The items in packs; one that is too large by itself comes alone, and whoever takes it says so."""
    pack: list[T] = []
    room = max_bytes
    for item in items:
        needed = size(item)
        if pack and (len(pack) == max_items or needed > room):
            yield pack
            pack, room = [], max_bytes
        pack.append(item)
        room -= needed
    if pack:
        yield pack
