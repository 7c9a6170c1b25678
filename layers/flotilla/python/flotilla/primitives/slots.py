"""A cap on how much runs at once: numbered slots, each leased to at most one holder.

    claimed ────────── until ─────────── until + 2 skew ──▶
       └ the holder uses it   └ nobody does        └ another may claim it
         until its clock says

Invariant: whatever clocks that are right to within `skew` say, no two holders use one slot at once, so never more than
`cap` holders are at work. It refuses to know whether a holder lives: a lease that ends is all that a crash leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flotilla.primitives.token_bucket import SKEW_MS


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as it is stored.

    Attributes:
        index: Its number, from 0.
        holder: Who has it: one id for each time that somebody asks for a slot.
        until_ms: By the holder's clock, when it stops using it.
    """

    index: int
    holder: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """To be stored where nothing is, or only what ended by `free_by_ms`, or this holder's own.

    Attributes:
        slot: As it would be.
        free_by_ms: A slot whose `until_ms` is no later than this is free.
    """

    slot: Slot
    free_by_ms: int


@dataclass(frozen=True, slots=True)
class Full:
    """All slots are taken.

    Attributes:
        retry_after_ms: When the first of them ends if nobody gives one up before.
    """

    retry_after_ms: int


def choose(
    slots: Iterable[Slot],
    cap: int,
    holder: str,
    now_ms: int,
    lease_ms: int,
    fraction: float,
    *,
    skew_ms: int = SKEW_MS,
) -> Claim | Full:
    """The slot to claim.

    Args:
        slots: As far as is known. Where that is wrong, the claim fails and says so.
        cap: How many there may be.
        holder: Who asks.
        now_ms: By the asker's clock.
        lease_ms: How long it may use the slot.
        fraction: Uniform random number in [0, 1), drawn by the caller: those who ask at once try different slots.
        skew_ms: How wrong clocks may be, either way.
    """
    free_by_ms = now_ms - 2 * skew_ms
    slots = list(slots)
    own = next((slot for slot in slots if slot.holder == holder), None)
    if own is not None:
        return Claim(Slot(own.index, holder, now_ms + lease_ms), free_by_ms)
    taken = {slot.index: slot for slot in slots if slot.until_ms > free_by_ms}
    free = [index for index in range(cap) if index not in taken]
    # Where a cap was lowered, slots beyond it run on until they are given up or end; they count.
    if not free or len(taken) >= cap:
        ends_ms = min((slot.until_ms for slot in taken.values()), default=now_ms)
        return Full(max(1, ends_ms - free_by_ms))
    slot = Slot(free[int(fraction * len(free))], holder, now_ms + lease_ms)
    return Claim(slot, free_by_ms)


def claimable(held: Slot | None, claim: Claim) -> bool:
    """Whether the claim's condition holds; what a store decides and writes in one go."""
    return held is None or held.holder == claim.slot.holder or held.until_ms <= claim.free_by_ms
