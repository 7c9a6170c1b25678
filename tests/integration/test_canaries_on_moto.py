"""The canary function over real adapters, and what the API then says of the fleet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flotilla.agents.catalog import Catalog
from flotilla.errors import RetryableError
from flotilla.models import TaskMessage
from flotilla.primitives.canary import CANARY_AGENT
from flotilla.runtime import clients, probes
from flotilla.runtime.settings import CanarySettings
from functions.canary.handler import CanaryFunction
from tests.agent_specs import agent_spec
from tests.integration.adapters.aws_failures import ERRORS, answering_with, unreachable
from tests.integration.conftest import STATE_MACHINES, FleetOnMoto
from tests.integration.test_api_on_moto import Api

CATALOG = Catalog({CANARY_AGENT: agent_spec(CANARY_AGENT)})


def round_of(function: CanaryFunction) -> dict[str, Any]:
    return asyncio.run(function.run({}, "request")).to_json()


def test_a_round_puts_a_task_on_each_lane_and_the_next_one_finds_them(fleet: FleetOnMoto) -> None:
    settings = CanarySettings.from_environment(fleet.environment())
    done = round_of(CanaryFunction(settings, CATALOG))
    sent = {
        lane: TaskMessage.from_body(message["Body"]).task_id
        for lane in settings.lanes
        for message in fleet.messages(lane)
    }
    assert {lane: found["submitted"] for lane, found in done["lanes"].items()} == sent
    again = round_of(CanaryFunction(settings, CATALOG))
    assert {lane: found["problem"] for lane, found in again["lanes"].items()} == dict.fromkeys(settings.lanes)
    shown = Api(fleet).call("GET", "/v1/health")
    assert shown.status == 200
    canaries = {lane["name"]: lane["canary"] for lane in shown.json()["lanes"]}
    assert {lane: found["status"] for lane, found in canaries.items()} == dict.fromkeys(settings.lanes, "pending")


def test_a_fleet_whose_table_is_gone_is_unhealthy_and_says_so(fleet: FleetOnMoto) -> None:
    clients.dynamodb().delete_table(TableName=fleet.control_table)
    health = Api(fleet).call("GET", "/v1/health").json()
    assert health["status"] == "unhealthy"
    assert "control does not answer" in health["reasons"]


def test_step_functions_is_asked_for_an_execution_that_nobody_started(fleet: FleetOnMoto) -> None:
    probes.state_machines(clients.stepfunctions, STATE_MACHINES, "analysis")()
    probe = probes.state_machines(clients.stepfunctions, STATE_MACHINES, "analysis")
    for code in set(ERRORS) - {"ThrottlingException"}:
        with (
            answering_with(clients.stepfunctions(), "describe_execution", code),
            pytest.raises(RetryableError, match="Step Functions"),
        ):
            probe()
    with answering_with(clients.stepfunctions(), "describe_execution", "ThrottlingException"):
        probe()  # it answers
    with unreachable(clients.stepfunctions(), "DescribeExecution"), pytest.raises(RetryableError):
        probe()
