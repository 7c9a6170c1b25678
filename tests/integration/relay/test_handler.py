"""The relay's handler from SQS event to partial batch response, and every AWS call that it makes on the way."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from flotilla.clock import SystemClock
from flotilla.models import TaskMessage
from flotilla.runtime import clients
from flotilla.runtime.settings import RelaySettings
from functions.relay.handler import RelayFunction
from tests.contracts.lanes import MESSAGE
from tests.integration.conftest import LANES, FleetOnMoto

TIERS = (1, 120, 480)


@dataclass
class Ladder:
    """The delay ladder's queues, but for their delay, and the relay behind them."""

    fleet: FleetOnMoto
    tiers: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for seconds in TIERS:
            self.fleet.make_queue(f"ladder-{seconds}")
        self.fleet.make_queue("ladder-dlq")
        urls = self.fleet.queue_urls
        self.tiers = {seconds: urls[f"ladder-{seconds}"] for seconds in TIERS}
        lanes = {lane: {"queue_url": urls[lane], "dlq_url": urls[lane]} for lane in LANES}
        delays = {str(tier): {"queue_url": url, "queue_arn": self.arn(tier)} for tier, url in self.tiers.items()}
        self.function = RelayFunction(
            RelaySettings.from_environment(
                {
                    "FLOTILLA_NAME": "fleet",
                    "FLOTILLA_LANES": json.dumps(lanes),
                    "FLOTILLA_DELAYS": json.dumps(delays),
                    "FLOTILLA_DELAYS_DLQ_URL": urls["ladder-dlq"],
                }
            )
        )

    def arn(self, tier: int) -> str:
        answer = clients.sqs().get_queue_attributes(QueueUrl=self.tiers[tier], AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    def hand_out(self, tier: int, *bodies: str) -> list[dict[str, Any]]:
        """The records of an event for messages with these bodies, out of a tier."""
        for number, body in enumerate(bodies):
            clients.sqs().send_message(
                QueueUrl=self.tiers[tier],
                MessageBody=body,
                MessageGroupId=f"g{number}",
                MessageDeduplicationId=f"d{number}",
            )
        answer = clients.sqs().receive_message(
            QueueUrl=self.tiers[tier], MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": self.arn(tier),
            }
            for message in answer["Messages"]
        ]

    def relay(self, records: list[dict[str, Any]]) -> list[str]:
        """Bodies of the messages that the relay keeps."""
        self.fleet.calls.clear()
        answer = asyncio.run(self.function.answer({"Records": records}))
        assert list(answer) == ["batchItemFailures"]
        kept = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [record["body"] for record in records if record["messageId"] in kept]


@pytest.fixture
def ladder(fleet: FleetOnMoto) -> Ladder:
    return Ladder(fleet)


def message(task_id: str, remaining_seconds: float, **changes: Any) -> TaskMessage:
    due_ms = SystemClock().now_ms() + int(remaining_seconds * 1000)
    return replace(MESSAGE, task_id=task_id, not_before_ms=due_ms, **changes)


def test_what_is_due_goes_to_its_lanes_with_one_call_for_each(ladder: Ladder) -> None:
    due = [message(f"tsk_{number}", -1, lane=LANES[number % 2]) for number in range(6)]
    assert ladder.relay(ladder.hand_out(1, *(each.to_body() for each in due))) == []
    assert ladder.fleet.calls == ["SendMessageBatch"] * 2
    arrived = [each for lane in LANES for each in ladder.fleet.messages(lane)]
    assert sorted(each["Attributes"]["MessageDeduplicationId"] for each in arrived) == [f"tsk_{n}-0" for n in range(6)]


def test_what_is_soon_due_stays_hidden_at_the_cost_of_one_call(ladder: Ladder) -> None:
    soon = [message(f"tsk_{number}", 30).to_body() for number in range(4)]
    assert sorted(ladder.relay(ladder.hand_out(120, *soon))) == sorted(soon)
    assert ladder.fleet.calls == ["ChangeMessageVisibilityBatch"]


def test_what_is_far_from_due_goes_on_to_the_next_tier(ladder: Ladder) -> None:
    assert ladder.relay(ladder.hand_out(480, message("tsk_far", 350, hops=1).to_body())) == []
    assert ladder.fleet.calls == ["SendMessage"]
    (arrived,) = ladder.fleet.messages("ladder-120")
    assert TaskMessage.from_body(arrived["Body"]).hops == 2


def test_what_nobody_can_read_goes_to_the_ladders_dead_letters(ladder: Ladder) -> None:
    assert ladder.relay(ladder.hand_out(1, '{"not": "a message"}', message("tsk_1", 0).to_body())) == []
    (dead,) = ladder.fleet.messages("ladder-dlq")
    assert dead["Body"] == '{"not": "a message"}'
    assert len(ladder.fleet.messages("standard")) == 1


def test_a_message_that_the_scheduler_sent_is_read_as_any_other(ladder: Ladder) -> None:
    """It comes with its angle brackets escaped, and with a deduplication id made of its content."""
    scheduled = message("tsk_1", 0).to_body().replace("<", "\\u003c")
    assert ladder.relay(ladder.hand_out(1, scheduled)) == []
    assert len(ladder.fleet.messages("standard")) == 1
