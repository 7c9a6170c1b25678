"""Whose capacity is in whose hands: what lanes have beyond their own share, and what idle lanes miss of theirs.

Pure bookkeeping over what is reserved; who gets what is decided in `primitives.scaling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Loan:
    """What a lane has lent or borrowed, in invocations at once; one of the two is 0.

    Attributes:
        lent: Of its share, in the hands of others.
        borrowed: In its hands, of others' shares or of what is nobody's.
    """

    lent: int = 0
    borrowed: int = 0


NO_LOAN = Loan()


def loans(pool: int, shares: Mapping[str, int], reserved: Mapping[str, int]) -> dict[str, Loan]:
    """What each lane has lent and borrowed.

    What is nobody's share is lent first; beyond it, those lend who use least of their share.

    Args:
        pool: What all may have reserved together.
        shares: By lane, its own.
        reserved: By lane, what it has.
    """
    borrowed = {lane: max(0, reserved[lane] - share) for lane, share in shares.items()}
    idle = {lane: max(0, share - reserved[lane]) for lane, share in shares.items()}
    of_lanes = max(0, sum(borrowed.values()) - max(0, pool - sum(shares.values())))
    lent = dict.fromkeys(shares, 0)
    for lane in sorted(idle, key=lambda name: (-idle[name], name)):
        lent[lane] = min(idle[lane], of_lanes)
        of_lanes -= lent[lane]
    return {lane: Loan(lent[lane], borrowed[lane]) for lane in shares}
