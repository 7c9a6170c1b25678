"""What an attempt used of models is counted once."""

from __future__ import annotations

from flotilla.llm.served import Served
from flotilla.llm.usage import UsageMeter
from flotilla.llm_ports import ModelReply

SERVED = Served(ModelReply(text="", input_tokens=7, output_tokens=3), "a", "b", cost_micros=1_234, latency_ms=5)


def test_an_attempt_that_called_nobody_has_no_usage() -> None:
    assert UsageMeter().to_json() == {}


def test_calls_are_added_up() -> None:
    meter = UsageMeter()
    for _ in range(3):
        meter.count(SERVED)
    counted = {"input_tokens": 21, "output_tokens": 9, "cost_usd": 0.003702}
    assert meter.to_json() == {"model_calls": 3, **counted, "models": {"b": {"calls": 3, **counted}}}


def test_the_first_failovers_are_kept() -> None:
    meter = UsageMeter()
    meter.count(SERVED)
    for number in range(30):
        meter.failed_over(f"route-{number}", SERVED, "circuit_open")
    failovers = meter.to_json()["failovers"]
    assert len(failovers) == 10
    assert failovers[0] == {"route": "route-0", "requested": "a", "served": "b", "why": "circuit_open"}
