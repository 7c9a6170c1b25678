"""What the same tokens would have cost with another model, by the price that is declared of it.

It says nothing of how well the other model would have answered, and takes its tokens for the same: models divide text
differently, and say more or less.
"""

from __future__ import annotations

from dataclasses import dataclass

from flotilla.llm.declaration import Price
from flotilla.primitives.usage_sums import Sums

_NANOS_IN_MICRO = 1000
_PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """A model and what it costs."""

    name: str
    price: Price


def elsewhere_nanos(sums: Sums, model: ModelPrice) -> int:
    """What the tokens of `sums` would have cost with `model`, in nanodollars."""
    cached = min(sums.cached_input_tokens, sums.input_tokens)
    price = model.price
    micros_by_million = (
        (sums.input_tokens - cached) * price.input + cached * price.cached_input + sums.output_tokens * price.output
    )
    return round(micros_by_million * _NANOS_IN_MICRO / _PER_MILLION)
