"""What an attempt used of language models, for the `usage` of the event that ends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flotilla.llm.served import Served

_MOST_FAILOVERS = 10
_MICROS = 1_000_000


@dataclass(slots=True)
class _OfModel:
    """What an attempt used of one model."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_micros: int = 0

    def count(self, served: Served) -> None:
        self.calls += 1
        self.input_tokens += served.reply.input_tokens
        self.output_tokens += served.reply.output_tokens
        self.cached_input_tokens += min(served.reply.cached_input_tokens, served.reply.input_tokens)
        self.cost_micros += served.cost_micros

    def to_json(self) -> dict[str, Any]:
        counted: dict[str, Any] = {
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": round(self.cost_micros / _MICROS, 6),
        }
        return counted | ({"cached_input_tokens": self.cached_input_tokens} if self.cached_input_tokens else {})


class UsageMeter:
    """Counts the calls of one attempt that were answered, and notes what another model served than was asked first."""

    def __init__(self) -> None:
        self._calls = 0
        self._input_tokens = 0
        self._output_tokens = 0
        self._cost_micros = 0
        self._models: dict[str, _OfModel] = {}
        self._failovers: list[dict[str, str]] = []

    def count(self, served: Served) -> None:
        """Count one answer."""
        self._calls += 1
        self._input_tokens += served.reply.input_tokens
        self._output_tokens += served.reply.output_tokens
        self._cost_micros += served.cost_micros
        self._models.setdefault(served.served, _OfModel()).count(served)

    def failed_over(self, route: str, served: Served, why: str) -> None:
        """Note that another model than the first served; the first ten of an attempt are kept.

        Args:
            route: The route.
            served: What came of the call.
            why: Code of what kept the first from it.
        """
        if len(self._failovers) < _MOST_FAILOVERS:
            note = {"route": route, "requested": served.requested, "served": served.served, "why": why}
            self._failovers.append(note)

    def to_json(self) -> dict[str, Any]:
        """What is recorded; empty where no model answered."""
        if not self._calls:
            return {}
        counted: dict[str, Any] = {
            "model_calls": self._calls,
            "input_tokens": self._input_tokens,
            "output_tokens": self._output_tokens,
            "cost_usd": round(self._cost_micros / _MICROS, 6),
            "models": {name: model.to_json() for name, model in sorted(self._models.items())},
        }
        return {**counted, "failovers": list(self._failovers)} if self._failovers else counted
