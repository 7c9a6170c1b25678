"""Transitions on the fleet's topic and bus, as queues behind them hear of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from examples.subscriber.subscriber import Subscriber, poll
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.probe import arn_of
from tests.e2e.tenants import new_tenant
from tests.e2e.waiting import eventually

ENDS = {"succeeded", "dead_lettered", "cancelled", "expired"}


@pytest.fixture
def client(engine: Engine) -> Iterator[FleetClient]:
    with new_tenant(engine) as found:
        yield found


@dataclass
class Listener:
    """A queue, and what was taken out of it by the example subscriber."""

    queues: Any
    url: str
    notices: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._subscriber = Subscriber(self.notices.append)

    @classmethod
    def make(cls, engine: Engine) -> Listener:
        queues = engine.client("sqs")
        return cls(queues, queues.create_queue(QueueName=f"listener-{uuid.uuid4().hex[:8]}")["QueueUrl"])

    def heard_of(self, *task_ids: str) -> dict[str, dict[str, Any]]:
        """What was told of these tasks, by task, once something was told of each."""

        def heard() -> dict[str, dict[str, Any]] | None:
            poll(self.queues, self.url, self._subscriber, wait_seconds=1)
            found = {notice["data"]["id"]: notice for notice in self.notices}
            return {task_id: found[task_id] for task_id in task_ids} if found.keys() >= set(task_ids) else None

        return eventually(heard, "the notices")


def ends(client: FleetClient) -> tuple[str, str]:
    """A task that ended well and one that did not."""
    good = client.run("diagnostics.echo", {"value": 1})
    bad = client.run("diagnostics.flaky", {"fail_attempts": 1, "error": "permanent"})
    return good["id"], bad["id"]


def test_the_example_subscriber_hears_how_tasks_end(engine: Engine, client: FleetClient) -> None:
    listener = Listener(engine.client("sqs"), engine.info.outputs["ExampleSubscriberQueue"])
    good, bad = ends(client)
    heard = listener.heard_of(good, bad)
    assert (heard[good]["type"], heard[bad]["type"]) == ("task.succeeded", "task.dead_lettered")
    assert heard[good]["id"] == f"{good}-{client.events(good)[-1]['seq']}"
    assert {notice["data"]["status"] for notice in listener.notices} <= ENDS
    (subscription,) = [
        engine.client("sns").get_subscription_attributes(SubscriptionArn=each["SubscriptionArn"])["Attributes"]
        for each in engine.client("sns").list_subscriptions()["Subscriptions"]
        if each["Endpoint"].endswith(":flotilla-example-subscriber")
    ]
    assert set(json.loads(subscription["FilterPolicy"])["status"]) == ENDS


def test_a_subscriber_hears_only_what_it_filters_for(engine: Engine, client: FleetClient) -> None:
    listener = Listener.make(engine)
    topics = engine.client("sns")
    policy = {"status": ["dead_lettered", "expired"], "agent": [{"prefix": "diagnostics."}]}
    subscription = topics.subscribe(
        TopicArn=engine.info.outputs["TransitionsTopic"],
        Protocol="sqs",
        Endpoint=arn_of(listener.queues, listener.url),
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps(policy)},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    try:
        good, bad = ends(client)
        _, last = ends(client)
        heard = listener.heard_of(bad, last)
        assert good not in {notice["data"]["id"] for notice in listener.notices}
        assert heard[bad]["data"]["error"]["code"] == "told_to_fail"
        assert {notice["data"]["status"] for notice in listener.notices} <= {"dead_lettered", "expired"}
    finally:
        topics.unsubscribe(SubscriptionArn=subscription)


def test_a_rule_on_the_bus_gets_what_its_pattern_fits(engine: Engine, client: FleetClient) -> None:
    listener = Listener.make(engine)
    buses, rule = engine.client("events"), f"rule-{uuid.uuid4().hex[:8]}"
    where = {"EventBusName": engine.info.outputs["EventBus"]}
    pattern = {"source": ["flotilla"], "detail-type": ["task.succeeded"]}
    buses.put_rule(Name=rule, EventPattern=json.dumps(pattern), **where)
    target = {"Id": "queue", "Arn": arn_of(listener.queues, listener.url), "InputPath": "$.detail"}
    buses.put_targets(Rule=rule, Targets=[target], **where)
    try:
        _, bad = ends(client)
        good, _ = ends(client)
        assert listener.heard_of(good)[good]["type"] == "task.succeeded"
        assert bad not in {notice["data"]["id"] for notice in listener.notices}
    finally:
        buses.remove_targets(Rule=rule, Ids=["queue"], **where)
        buses.delete_rule(Name=rule, **where)
