"""What follows the event log's stream, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Match, Template

from flotilla.events.kinds import Kind
from flotilla.runtime.settings import BroadcasterSettings
from local.event_sources.stream_filter import StreamFilter
from tests.infra.test_functions import environment, mappings
from tests.infra.test_permissions import allowed
from tests.synthesis import ACCOUNT, REGION, Templates, synthesize

FOLLOWERS = ("projector", "broadcaster")


def stream_mapping(templates: Templates, name: str) -> dict[str, Any]:
    (mapping,) = mappings(templates, f"flotilla-{name}")
    return mapping


def record(event_name: str, kind: Kind) -> dict[str, Any]:
    return {"eventName": event_name, "dynamodb": {"NewImage": {"kind": {"S": kind.value}}}}


@pytest.mark.parametrize(("name", "seconds"), [("projector", 2), ("broadcaster", 1)])
def test_a_follower_starts_with_the_oldest_event_and_gathers_them_for_a_moment(
    templates: Templates, name: str, seconds: int
) -> None:
    mapping = stream_mapping(templates, name)
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["MaximumBatchingWindowInSeconds"] == seconds
    assert mapping["EventSourceArn"].startswith(f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/flotilla-events/stream/")


@pytest.mark.parametrize("name", FOLLOWERS)
def test_a_record_that_always_fails_is_found_held_for_an_hour_and_told_of(templates: Templates, name: str) -> None:
    mapping = stream_mapping(templates, name)
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRecordAgeInSeconds"] == 3600
    told = templates.one("AWS::SQS::Queue", QueueName=f"flotilla-{name}-failures")
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": told.arn}}


@pytest.mark.parametrize("kind", Kind)
def test_nothing_but_appended_events_costs_an_invocation(templates: Templates, kind: Kind) -> None:
    for name in FOLLOWERS:
        patterns = [each["Pattern"] for each in stream_mapping(templates, name)["FilterCriteria"]["Filters"]]
        passes = StreamFilter(patterns).passes
        assert not passes(record("MODIFY", kind))
        assert not passes({"eventName": "REMOVE", "dynamodb": {}})
        changes_nothing = name == "broadcaster" and kind is Kind.STEP_RECORDED
        assert passes(record("INSERT", kind)) is not changes_nothing


def test_transitions_are_told_on_a_bus_and_on_a_topic(followers: Template) -> None:
    followers.has_resource_properties("AWS::Events::EventBus", {"Name": "flotilla"})
    followers.has_resource_properties("AWS::SNS::Topic", {"TopicName": "flotilla-transitions"})
    followers.has_resource_properties(
        "AWS::SNS::TopicPolicy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [Match.object_like({"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})]
                )
            }
        },
    )


def test_the_example_subscriber_is_there_where_it_is_asked_for(followers: Template, local_templates: Templates) -> None:
    followers.resource_count_is("AWS::SNS::Subscription", 0)
    queue = local_templates.one("AWS::SQS::Queue", QueueName="flotilla-example-subscriber")
    topic = local_templates.one("AWS::SNS::Topic", TopicName="flotilla-transitions")
    (subscription,) = [each.properties for each in local_templates.resources("AWS::SNS::Subscription")]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("sqs", queue.arn)
    assert subscription["TopicArn"] == topic.arn
    assert subscription["RawMessageDelivery"] is True
    assert subscription["FilterPolicy"] == {"status": ["succeeded", "dead_lettered", "cancelled", "expired"]}
    assert "FilterPolicyScope" not in subscription, "SNS looks at the attributes unless it is told otherwise"


def test_who_asks_for_no_broadcasts_gets_none(tmp_path: Path) -> None:
    settings = tmp_path / "fleet.toml"
    settings.write_text("[broadcast]\nevent_bus = false\ntopic = false\n", encoding="utf-8")
    quiet = Templates(synthesize(tmp_path / "out", settings=settings))
    assert not quiet.resources("AWS::Events::EventBus")
    topics = [topic.properties["TopicName"] for topic in quiet.resources("AWS::SNS::Topic")]
    assert sorted(topics) == ["flotilla-alarms", "flotilla-pages"]
    told = BroadcasterSettings.from_environment(environment(quiet, "flotilla-broadcaster")).broadcast
    assert (told.event_bus, told.topic_arn) == (None, None)
    actions = {action for action, _ in allowed(quiet, "flotilla-broadcaster")}
    assert not actions & {"events:PutEvents", "sns:Publish"}
    for function in ("flotilla-api", "flotilla-worker-standard"):
        assert "events:PutEvents" not in {action for action, _ in allowed(quiet, function)}


def test_outputs_name_what_the_tools_look_for(followers: Template, dispatch: Template) -> None:
    for name in ("EventBus", "TransitionsTopic", *(f"{each.capitalize()}Function" for each in FOLLOWERS)):
        followers.has_output(name, {"Export": Match.absent()})
    for name in ("WebhookFunction", "KeeperFunction"):
        followers.has_output(name, {"Export": Match.absent()})
    for name in ("RelayFunction", "TriageFunction", "ReconcilerFunction"):
        dispatch.has_output(name, {"Export": Match.absent()})
