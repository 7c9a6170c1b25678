"""What differs on the embedded engine is what `stacks.local_differences` says, and `[local]` touches nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks.config import LOCAL_MAXIMUM_CONCURRENCY
from tests.synthesis import REPOSITORY, Templates, synthesize

KINDS = (
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::ScheduleGroup",
    "AWS::SecretsManager::Secret",
    "AWS::StepFunctions::StateMachine",
)

ONLY_LOCAL = "Example"
"""Begins the logical ids of the example subscriber, which `[local]` asks for."""

ONLY_AWS_KINDS = {"AWS::CloudWatch::CompositeAlarm", "AWS::Logs::QueryDefinition"}
"""What the engine cannot deploy."""

NOT_RUNNING = ("TryLanes", "CanaryFunctionEventInvokeConfig", "Symptomsflotillacanary", "Symptomsflotillascaler")
"""Begin the logical ids of what runs by itself on AWS and by hand on the engine, `[local]` says, and of its alarms."""

# Kind → properties that may differ.
DIFFERENT = {
    # the alarms that are listed, and the marks of a laptop's concurrency
    "AWS::CloudWatch::Dashboard": {"DashboardBody"},
    # deletion protection
    "AWS::DynamoDB::Table": {"DeletionProtectionEnabled"},
    # [local]: the concurrency of a laptop
    "AWS::Lambda::EventSourceMapping": {"ScalingConfig"},
    # built for the host; [local]: concurrency, the level of logs, and where the diagnostic agents count
    "AWS::Lambda::Function": {
        "Architectures",
        "Code",
        "Environment",
        "LoggingConfig",
        "ReservedConcurrentExecutions",
        "Runtime",
    },
    # [local]: what runs by itself
    "AWS::Events::Rule": {"State"},
    "AWS::Lambda::LayerVersion": {"CompatibleArchitectures", "CompatibleRuntimes", "Content"},
    # the diagnostic agents' counters
    "AWS::IAM::Role": {"Policies"},
}


def only_on_aws(logical_id: str, body: dict[str, Any]) -> bool:
    """Whether it is left out on the engine: it cannot be had there, or runs by itself."""
    math = body["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in body["Properties"]
    # The canaries' reading of readiness is theirs too.
    return math or body["Type"] in ONLY_AWS_KINDS or logical_id.startswith((*NOT_RUNNING, "Symptomsflotillanotready"))


def test_there_are_the_same_resources(templates: Templates, local_templates: Templates) -> None:
    for stack in templates:
        everywhere = templates[stack]["Resources"].items()
        kinds = {name: body["Type"] for name, body in everywhere if not only_on_aws(name, body)}
        local = {name: body["Type"] for name, body in local_templates[stack]["Resources"].items()}
        assert kinds == {name: kind for name, kind in local.items() if not name.startswith(ONLY_LOCAL)}
        assert set(local.values()) <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_resources_differ_only_where_it_is_said(templates: Templates, local_templates: Templates, kind: str) -> None:
    everywhere = [each for each in templates.resources(kind) if not only_on_aws(each.logical_id, each.body)]
    shared = [each for each in local_templates.resources(kind) if not each.logical_id.startswith(ONLY_LOCAL)]
    for here, there in zip(everywhere, shared, strict=True):
        assert here.logical_id == there.logical_id
        assert _without(here.properties, kind) == _without(there.properties, kind)


def _without(properties: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name not in DIFFERENT.get(kind, set())}


def test_state_is_forgotten_with_its_stack_on_the_engine(local_templates: Templates) -> None:
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
        for resource in local_templates.resources(kind):
            assert resource.body["DeletionPolicy"] == "Delete"
            assert resource.properties.get("DeletionProtectionEnabled", False) is False


def test_mappings_of_queues_have_a_laptops_concurrency(local_templates: Templates) -> None:
    for mapping in local_templates.resources("AWS::Lambda::EventSourceMapping"):
        if ":sqs:" in mapping.properties["EventSourceArn"]:
            assert 2 <= mapping.properties["ScalingConfig"]["MaximumConcurrency"] <= LOCAL_MAXIMUM_CONCURRENCY


def test_what_is_reserved_is_at_least_what_may_run_on_the_engine_too(local_templates: Templates) -> None:
    together: dict[str, int] = {}
    for mapping in local_templates.resources("AWS::Lambda::EventSourceMapping"):
        function = mapping.properties["FunctionName"]
        maximum = mapping.properties.get("ScalingConfig", {}).get("MaximumConcurrency", 0)
        together[function] = together.get(function, 0) + maximum
    for name, maximum in together.items():
        function = local_templates.one("AWS::Lambda::Function", FunctionName=name).properties
        assert function.get("ReservedConcurrentExecutions", 0) >= maximum


def test_local_overrides_do_not_reach_aws(templates: Templates, tmp_path: Path) -> None:
    text = (REPOSITORY / "fleet.toml").read_text(encoding="utf-8")
    settings = tmp_path / "fleet.toml"
    settings.write_text(text.split("[local]")[0], encoding="utf-8")
    without = Templates(synthesize(tmp_path / "assembly", settings=settings))
    for stack in templates:
        assert without[stack] == templates[stack]
