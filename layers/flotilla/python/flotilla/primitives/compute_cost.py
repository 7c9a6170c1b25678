"""What an attempt's part of an invocation costs, by Lambda's list prices.

    billed time * memory * price of a GB-second  +  its part of the price of the request

Money is in nanodollars (billionths of a dollar): a millisecond of a small function is some ten of them.
"""

from __future__ import annotations

from dataclasses import dataclass

NANOS = 1_000_000_000
"""In a dollar."""


@dataclass(frozen=True, slots=True)
class ComputePrice:
    """List prices.

    Attributes:
        gb_second_usd: Of a gigabyte of memory for a second.
        invocation_usd: Of one invocation, however long.
    """

    gb_second_usd: float
    invocation_usd: float


def compute_nanos(price: ComputePrice, *, billed_ms: int, memory_mb: int, messages: int) -> int:
    """What an attempt is charged, in nanodollars.

    Args:
        price: List prices.
        billed_ms: Its share of the invocation's time.
        memory_mb: What the function has.
        messages: How many messages the invocation was handed: each bears as much of the request.
    """
    gb_seconds = billed_ms / 1000 * memory_mb / 1024
    return round((gb_seconds * price.gb_second_usd + price.invocation_usd / max(1, messages)) * NANOS)


def nanos_of(usd: float) -> int:
    """An amount in dollars, as it stands in a log, in nanodollars."""
    return round(usd * NANOS)


def usd_of(nanos: int) -> float:
    """The same the other way round."""
    return round(nanos / NANOS, 9)
