"""The workers, the API and its authorizer."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk.assertions import Match, Template
from pydantic import BaseModel

from flotilla.runtime.settings import ApiSettings, AuthorizerSettings, DiagnosticsSettings, WorkerSettings
from stacks.settings_model import Fleet
from tests.synthesis import Templates

LANES = ("critical", "standard", "batch")


def functions(templates: Templates) -> dict[str, dict[str, Any]]:
    found = [function.properties for function in templates.resources("AWS::Lambda::Function")]
    return {properties["FunctionName"]: properties for properties in found}


def environment(templates: Templates, name: str) -> dict[str, str]:
    variables: dict[str, str] = functions(templates)[name]["Environment"]["Variables"]
    return variables


def test_there_is_a_function_for_each_lane_and_two_for_the_api(templates: Templates) -> None:
    expected = {f"flotilla-worker-{lane}" for lane in LANES} | {"flotilla-api", "flotilla-authorizer"}
    assert set(functions(templates)) == expected


def test_every_function_runs_on_arm_is_traced_and_logs_to_a_group_that_forgets(templates: Templates) -> None:
    groups = {group.logical_id: group.properties for group in templates.resources("AWS::Logs::LogGroup")}
    for function in templates.resources("AWS::Lambda::Function"):
        properties = function.properties
        assert properties["Architectures"] == ["arm64"]
        assert properties["TracingConfig"] == {"Mode": "Active"}
        group = groups[function.body["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["LogGroupName"] == f"/aws/lambda/{properties['FunctionName']}"
        assert group["RetentionInDays"] == 30


def test_every_function_has_a_role_of_its_own(templates: Templates) -> None:
    roles = [function["Role"] for function in functions(templates).values()]
    assert len(set(roles)) == len(roles) == len(templates.resources("AWS::IAM::Role"))


def test_handlers_are_where_their_package_puts_them(templates: Templates) -> None:
    for name, function in functions(templates).items():
        package = name.removeprefix("flotilla-").split("-")[0]
        assert function["Handler"] == f"functions.{package}.handler.handler"


@pytest.mark.parametrize("lane", LANES)
def test_what_is_reserved_for_a_lane_is_at_least_what_may_run(templates: Templates, lane: str) -> None:
    worker = functions(templates)[f"flotilla-worker-{lane}"]
    (mapping,) = [
        mapping.properties
        for mapping in templates.resources("AWS::Lambda::EventSourceMapping")
        if mapping.properties["EventSourceArn"].endswith(f":flotilla-{lane}.fifo")
    ]
    assert worker["ReservedConcurrentExecutions"] >= mapping["ScalingConfig"]["MaximumConcurrency"]


def test_functions_that_answer_clients_share_the_accounts_concurrency(api: Template) -> None:
    api.all_resources_properties("AWS::Lambda::Function", {"ReservedConcurrentExecutions": Match.absent()})


def test_mappings_hand_out_full_batches_at_once_and_take_partial_answers(workers: Template) -> None:
    workers.resource_count_is("AWS::Lambda::EventSourceMapping", len(LANES))
    workers.all_resources_properties(
        "AWS::Lambda::EventSourceMapping",
        {
            "BatchSize": 10,
            "Enabled": Match.absent(),  # enabled, that is
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "MaximumBatchingWindowInSeconds": Match.absent(),
        },
    )


@pytest.mark.parametrize("lane", LANES)
def test_a_workers_settings_accept_its_environment(templates: Templates, lane: str) -> None:
    settings = WorkerSettings.from_environment(environment(templates, f"flotilla-worker-{lane}"))
    assert settings.lane == lane
    assert settings.lanes[lane].queue_url.endswith(f"/flotilla-{lane}.fifo")
    assert settings.lanes[lane].dlq_url.endswith(f"/flotilla-{lane}-dlq.fifo")
    assert settings.events_table == "flotilla-events"


def test_the_apis_settings_accept_its_environment(templates: Templates) -> None:
    settings = ApiSettings.from_environment(environment(templates, "flotilla-api"))
    assert set(settings.lanes) == set(LANES)
    assert settings.default_lane == Fleet.model_fields["default_lane"].default
    assert settings.control_table == "flotilla-control"
    assert settings.inline_payload_bytes == 32_768


def test_the_authorizers_settings_accept_its_environment(templates: Templates) -> None:
    settings = AuthorizerSettings.from_environment(environment(templates, "flotilla-authorizer"))
    assert settings.control_table == "flotilla-control"


def test_diagnostic_agents_find_their_settings_where_they_are_deployed(local_templates: Templates) -> None:
    for lane in LANES:
        settings = DiagnosticsSettings.from_environment(environment(local_templates, f"flotilla-worker-{lane}"))
        assert settings.control_table == "flotilla-control"


def test_no_function_is_told_more_than_it_needs(templates: Templates) -> None:
    read: dict[str, type[BaseModel]] = {f"flotilla-worker-{lane}": WorkerSettings for lane in LANES}
    read |= {"flotilla-api": ApiSettings, "flotilla-authorizer": AuthorizerSettings}
    for name, model in read.items():
        known = {str(field.validation_alias) for field in model.model_fields.values()}
        told = {variable for variable in environment(templates, name) if variable.startswith("FLOTILLA_")}
        assert told == known, name
