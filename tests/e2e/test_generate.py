"""Models on the engine, with no configuration: the route `fast` is served by its imitation of Bedrock."""

from __future__ import annotations

from tests.e2e.fleet_client import FleetClient


def test_a_task_generates_by_a_route_and_says_what_it_used(tenant: FleetClient) -> None:
    task = tenant.run("diagnostics.generate", {"route": "fast", "prompt": "Say something."})
    assert task["status"] == "succeeded", task
    output = task["output"]
    assert output["text"]
    assert (output["requested"], output["served"]) == ("nova", "nova")
    assert output["usage"]["output_tokens"] > 0
    assert task["usage"]["model_calls"] == 1
    assert task["usage"]["input_tokens"] == output["usage"]["input_tokens"]
    assert 0 < task["usage"]["cost_usd"] < 0.01


def test_a_route_that_there_is_not_is_refused_for_good(tenant: FleetClient) -> None:
    task = tenant.run("diagnostics.generate", {"route": "slow", "prompt": "Say something."})
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "route_not_declared")
