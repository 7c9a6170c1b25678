"""Every function of the fleet: what all of them have, and that what they are told is what they ask for."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk.assertions import Match, Template
from pydantic import BaseModel

from flotilla.runtime.settings import (
    ApiSettings,
    AuthorizerSettings,
    BroadcasterSettings,
    CanarySettings,
    DiagnosticsSettings,
    KeeperSettings,
    ProjectorSettings,
    ReconcilerSettings,
    RecorderSettings,
    RelaySettings,
    RollupSettings,
    ScalerSettings,
    TriageSettings,
    WebhookSettings,
    WorkerSettings,
)
from stacks.settings_model import Fleet
from tests.synthesis import ACCOUNT, REGION, Templates

LANES = ("critical", "standard", "batch")
WORKFLOWS = ("document-analysis", "approval", "agent-loop", "saga")
TIERS = (1, 15, 120, 480, 900)

SETTINGS: dict[str, type[BaseModel]] = {
    **{f"flotilla-worker-{lane}": WorkerSettings for lane in LANES},
    "flotilla-api": ApiSettings,
    "flotilla-authorizer": AuthorizerSettings,
    "flotilla-broadcaster": BroadcasterSettings,
    "flotilla-canary": CanarySettings,
    "flotilla-keeper": KeeperSettings,
    "flotilla-projector": ProjectorSettings,
    "flotilla-reconciler": ReconcilerSettings,
    "flotilla-recorder": RecorderSettings,
    "flotilla-relay": RelaySettings,
    "flotilla-rollup": RollupSettings,
    "flotilla-scaler": ScalerSettings,
    "flotilla-triage": TriageSettings,
    "flotilla-webhook": WebhookSettings,
}
"""What each function reads its environment with."""

UNSAID = {"flotilla-api": {"FLOTILLA_API_URL"}}
"""What a function could be told, where fleet.toml says it: the API's other address, which it cannot know of itself."""

LOOPS_ON_PURPOSE = {"flotilla-relay", "flotilla-triage", *(f"flotilla-worker-{lane}" for lane in LANES)}


def functions(templates: Templates) -> dict[str, dict[str, Any]]:
    found = [function.properties for function in templates.resources("AWS::Lambda::Function")]
    return {properties["FunctionName"]: properties for properties in found}


def environment(templates: Templates, name: str) -> dict[str, str]:
    variables: dict[str, str] = functions(templates)[name]["Environment"]["Variables"]
    return variables


def mappings(templates: Templates, function: str) -> list[dict[str, Any]]:
    found = [mapping.properties for mapping in templates.resources("AWS::Lambda::EventSourceMapping")]
    return [mapping for mapping in found if mapping["FunctionName"] == function]


def test_there_is_a_worker_for_each_lane_and_one_of_each_other_function(templates: Templates) -> None:
    assert set(functions(templates)) == set(SETTINGS)


def test_every_function_runs_on_arm_and_logs_to_a_group_that_forgets(templates: Templates) -> None:
    groups = {(group.stack, group.logical_id): group.properties for group in templates.resources("AWS::Logs::LogGroup")}
    for function in templates.resources("AWS::Lambda::Function"):
        properties = function.properties
        assert properties["Architectures"] == ["arm64"]
        assert "TracingConfig" not in properties, "a trace costs more than a queue's message"
        group = groups[function.stack, function.body["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["LogGroupName"] == f"/aws/lambda/{properties['FunctionName']}"
        assert group["RetentionInDays"] == 30


def test_lambdas_own_lines_about_each_invocation_are_not_logged(templates: Templates) -> None:
    for properties in functions(templates).values():
        logging = properties["LoggingConfig"]
        assert (logging["LogFormat"], logging["SystemLogLevel"]) == ("JSON", "WARN")
        assert logging["ApplicationLogLevel"] == properties["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"]


def test_every_function_has_a_role_of_its_own(templates: Templates) -> None:
    roles = [function["Role"] for function in functions(templates).values()]
    assert len(set(roles)) == len(roles)
    machines = [machine.properties["RoleArn"] for machine in templates.resources("AWS::StepFunctions::StateMachine")]
    assert len({*roles, *machines}) == len([*roles, *machines])
    others = [role for role in templates.resources("AWS::IAM::Role") if role.arn not in (*roles, *machines)]
    assert [role.logical_id for role in others] == [templates.schedule_role.logical_id]


def test_handlers_are_where_their_package_puts_them(templates: Templates) -> None:
    for name, function in functions(templates).items():
        package = name.removeprefix("flotilla-").split("-")[0]
        assert function["Handler"] == f"functions.{package}.handler.handler"


def test_just_those_that_send_work_back_to_their_own_queues_may_go_round_in_loops(templates: Templates) -> None:
    allowed = {name for name, function in functions(templates).items() if function.get("RecursiveLoop") == "Allow"}
    assert allowed == LOOPS_ON_PURPOSE
    for name in set(functions(templates)) - allowed:
        assert "RecursiveLoop" not in functions(templates)[name]


@pytest.mark.parametrize("name", [f"flotilla-worker-{lane}" for lane in LANES])
def test_what_is_reserved_for_a_lane_is_at_least_what_may_run(templates: Templates, name: str) -> None:
    (mapping,) = mappings(templates, name)
    assert functions(templates)[name]["ReservedConcurrentExecutions"] >= mapping["ScalingConfig"]["MaximumConcurrency"]


@pytest.mark.parametrize("name", ["flotilla-relay", "flotilla-triage", "flotilla-webhook"])
def test_what_several_queues_feed_has_reserved_what_they_may_ask_for_together(templates: Templates, name: str) -> None:
    together = sum(mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings(templates, name))
    assert functions(templates)[name]["ReservedConcurrentExecutions"] == together


def test_functions_that_answer_clients_or_are_told_of_events_share_the_accounts_concurrency(
    templates: Templates,
) -> None:
    for name in ("api", "authorizer", "projector", "broadcaster", "recorder"):
        assert "ReservedConcurrentExecutions" not in functions(templates)[f"flotilla-{name}"]


def test_mappings_of_queues_hand_out_full_batches_at_once_and_take_partial_answers(
    workers: Template, dispatch: Template
) -> None:
    workers.resource_count_is("AWS::Lambda::EventSourceMapping", len(LANES))
    dispatch.resource_count_is("AWS::Lambda::EventSourceMapping", len(TIERS) + len(LANES) + 1)
    for template in (workers, dispatch):
        template.all_resources_properties(
            "AWS::Lambda::EventSourceMapping",
            {
                "BatchSize": 10,
                "Enabled": Match.absent(),  # enabled, that is
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "MaximumBatchingWindowInSeconds": Match.absent(),
            },
        )


def test_no_message_becomes_visible_while_a_function_may_still_be_at_it(templates: Templates) -> None:
    queues = {queue.arn: queue.properties for queue in templates.resources("AWS::SQS::Queue")}
    for name, function in functions(templates).items():
        for mapping in mappings(templates, name):
            if mapping["EventSourceArn"] in queues:
                assert queues[mapping["EventSourceArn"]]["VisibilityTimeout"] == 6 * function["Timeout"]


def test_what_runs_by_the_clock_runs_once_at_a_time_and_is_not_repeated(templates: Templates) -> None:
    found = [rule.properties for rule in templates.resources("AWS::Events::Rule")]
    rules = {rule["Name"]: rule for rule in found if "ScheduleExpression" in rule}
    assert {name: rule["ScheduleExpression"] for name, rule in rules.items()} == {
        "flotilla-reconciler": "rate(1 minute)",
        "flotilla-scaler": "rate(1 minute)",
        "flotilla-keeper": "rate(1 day)",
        "flotilla-rollup": "rate(1 hour)",
        "flotilla-canary": "rate(5 minutes)",
    }
    for name, rule in rules.items():
        (target,) = rule["Targets"]
        assert target["Arn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        assert functions(templates)[name]["ReservedConcurrentExecutions"] == 1
        invoking = templates.one("AWS::Lambda::EventInvokeConfig", FunctionName=name).properties
        assert invoking["MaximumRetryAttempts"] == target["RetryPolicy"]["MaximumRetryAttempts"] == 0


@pytest.mark.parametrize("name", SETTINGS)
def test_a_functions_settings_accept_its_environment(templates: Templates, name: str) -> None:
    SETTINGS[name].model_validate(environment(templates, name))


@pytest.mark.parametrize("name", SETTINGS)
def test_no_function_is_told_more_than_it_needs(templates: Templates, name: str) -> None:
    known = {str(field.validation_alias) for field in SETTINGS[name].model_fields.values()}
    told = {variable for variable in environment(templates, name) if variable.startswith("FLOTILLA_")}
    assert told == known - UNSAID.get(name, set())


@pytest.mark.parametrize("lane", LANES)
def test_a_worker_is_told_of_its_own_lane_of_those_that_agents_submit_to_and_of_the_delay_ladder(
    templates: Templates, lane: str
) -> None:
    settings = WorkerSettings.from_environment(environment(templates, f"flotilla-worker-{lane}"))
    assert settings.lane == lane
    assert set(settings.lanes) == set(LANES)
    assert settings.default_lane == Fleet.model_fields["default_lane"].default
    assert settings.lanes[lane].queue_url.endswith(f"/flotilla-{lane}.fifo")
    assert settings.lanes[lane].dlq_url.endswith(f"/flotilla-{lane}-dlq.fifo")
    assert settings.events_table == "flotilla-events"
    assert tuple(settings.delays) == TIERS


def test_the_api_is_told_of_all_lanes(templates: Templates) -> None:
    settings = ApiSettings.from_environment(environment(templates, "flotilla-api"))
    assert set(settings.lanes) == set(LANES)
    assert settings.default_lane == Fleet.model_fields["default_lane"].default
    assert settings.control_table == "flotilla-control"
    assert settings.inline_payload_bytes == 32_768


def test_the_broadcaster_is_told_where_links_lead(templates: Templates, local_templates: Templates) -> None:
    told = environment(templates, "flotilla-broadcaster")["FLOTILLA_API_URL"]
    assert told.endswith(".ApiEndpoint")
    # On the engine the address is the engine's own, on a port that is in no template.
    assert "FLOTILLA_API_URL" not in environment(local_templates, "flotilla-broadcaster")


def test_the_canary_tries_every_lane_as_long_as_its_tasks_may_wait(templates: Templates) -> None:
    for name, model in (("canary", CanarySettings), ("api", ApiSettings)):
        plan = model.from_environment(environment(templates, f"flotilla-{name}")).canary.plan()
        assert (plan.period_seconds, plan.scheduled) == (300, True)
        assert plan.patience_seconds == {"critical": 300, "standard": 300, "batch": 3600}


def test_no_canary_is_sent_by_the_clock_on_the_engine_where_nobody_is_told(local_templates: Templates) -> None:
    rules = [rule.properties["Name"] for rule in local_templates.resources("AWS::Events::Rule")]
    assert "flotilla-canary" not in rules
    told = CanarySettings.from_environment(environment(local_templates, "flotilla-canary"))
    assert (told.canary.scheduled, told.api_url) == (False, None)


def test_the_scaler_knows_each_lanes_mapping_and_what_all_may_have_together(templates: Templates) -> None:
    scaling = ScalerSettings.from_environment(environment(templates, "flotilla-scaler")).scaling
    assert list(scaling.lanes) == list(LANES), "by priority"
    reserved = {name: each.get("ReservedConcurrentExecutions", 0) for name, each in functions(templates).items()}
    others = sum(amount for name, amount in reserved.items() if not name.startswith("flotilla-worker-"))
    assert scaling.pool == 1000 - 100 - others
    for lane, scaled in scaling.lanes.items():
        (mapping,) = [
            each
            for each in templates.resources("AWS::Lambda::EventSourceMapping")
            if each.properties["FunctionName"] == scaled.function
        ]
        assert scaled.mapping == mapping.reference
        assert scaled.share == mapping.properties["ScalingConfig"]["MaximumConcurrency"] == reserved[scaled.function]
        assert scaled.bounds().objective_ms == {"critical": 30_000, "standard": 300_000, "batch": 3_600_000}[lane]


def test_on_the_engine_the_scaler_is_there_and_runs_only_when_it_is_told_to(
    templates: Templates, local_templates: Templates
) -> None:
    states = [
        each.one("AWS::Events::Rule", Name="flotilla-scaler").properties["State"]
        for each in (templates, local_templates)
    ]
    assert states == ["ENABLED", "DISABLED"]


def test_a_run_of_the_scaler_is_over_before_the_next_begins(templates: Templates) -> None:
    assert functions(templates)["flotilla-scaler"]["Timeout"] < 60


def test_whoever_signs_links_to_decisions_and_whoever_checks_them_use_one_secret(templates: Templates) -> None:
    named = {
        environment(templates, name)["FLOTILLA_DECISIONS_SECRET"] for name in ("flotilla-api", "flotilla-broadcaster")
    }
    assert named == {templates.one("AWS::SecretsManager::Secret").properties["Name"]}


def test_workflows_are_found_by_the_beginning_of_their_arns(templates: Templates) -> None:
    machines = [machine.arn for machine in templates.resources("AWS::StepFunctions::StateMachine")]
    for name in ("api", "broadcaster", "reconciler", "recorder", "triage", *(f"worker-{lane}" for lane in LANES)):
        prefix = environment(templates, f"flotilla-{name}")["FLOTILLA_STATE_MACHINES"]
        assert {arn.removeprefix(prefix) for arn in machines} == set(WORKFLOWS)


def test_schedules_enter_the_ladder_by_its_shortest_tier(templates: Templates) -> None:
    settings = TriageSettings.from_environment(environment(templates, "flotilla-triage"))
    assert settings.schedules.target_arn == settings.delays[min(TIERS)].queue_arn
    assert settings.schedules.target_arn.endswith(":flotilla-delay-1.fifo")
    assert settings.schedules.group == "flotilla"
    assert settings.schedules.role_arn == templates.schedule_role.arn


def test_the_broadcaster_is_told_where_and_which_transitions(templates: Templates) -> None:
    settings = BroadcasterSettings.from_environment(environment(templates, "flotilla-broadcaster"))
    assert settings.broadcast.event_bus == "flotilla"
    assert settings.broadcast.topic_arn == f"arn:aws:sns:{REGION}:{ACCOUNT}:flotilla-transitions"
    assert {status.value for status in settings.broadcast.transitions} == {
        "succeeded",
        "dead_lettered",
        "cancelled",
        "expired",
    }


def test_webhooks_may_go_to_this_machine_on_the_engine_only(templates: Templates, local_templates: Templates) -> None:
    here, there = (
        WebhookSettings.from_environment(environment(each, "flotilla-webhook")) for each in (local_templates, templates)
    )
    assert (here.allow, there.allow) == ({"127.0.0.1", "localhost"}, frozenset())


def test_diagnostic_agents_find_their_settings_where_they_are_deployed(local_templates: Templates) -> None:
    for lane in LANES:
        settings = DiagnosticsSettings.from_environment(environment(local_templates, f"flotilla-worker-{lane}"))
        assert settings.control_table == "flotilla-control"
