"""The contracts of `Publisher` and `WebhookQueue`, and of `WebhookReceipts`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from flotilla.broadcast import Notice, WebhookMessage
from flotilla.broadcast_ports import Publisher, WebhookQueue, WebhookReceipts
from flotilla.models import Delivery


def notice(number: int, *, filler: str = "") -> Notice:
    """The `number`-th transition of a task."""
    return Notice(
        id=f"tsk_1-{number}",
        type="task.succeeded",
        at_ms=1_700_000_000_123,
        attributes={
            "kind": "succeeded",
            "status": "succeeded",
            "agent": "a.b",
            "lane": "standard",
            "tenant": "größe",
        },
        payload=json.dumps({"type": "task.succeeded", "data": {"seq": number, "filler": filler, "odd": "\ufffe\x00"}}),
    )


def message(number: int, *, filler: str = "") -> WebhookMessage:
    """A message to some endpoint."""
    payload = json.dumps({"filler": filler, "odd": "größe \ufffe\x00\U0001f680"}, ensure_ascii=False)
    return WebhookMessage(f"msg_{number}", "acme", "whk_1", "tsk_1", number, 1_700_000_000_000, payload)


Documents = Callable[[], list[str]]
"""What subscribers were handed since the last call, as JSON, in any order."""


class PublisherContract:
    """Provide fixtures `publisher` and `documents`."""

    def test_nothing_to_publish_is_nothing_done(self, publisher: Publisher, documents: Documents) -> None:
        assert asyncio.run(publisher.publish([])) == []
        assert documents() == []

    def test_every_notice_arrives_whole_with_its_id(self, publisher: Publisher, documents: Documents) -> None:
        sent = [notice(number) for number in range(23)]
        assert asyncio.run(publisher.publish(sent)) == [True] * 23
        found = {(value := json.loads(document))["id"]: value for document in documents()}
        assert found == {each.id: {"id": each.id, **json.loads(each.payload)} for each in sent}

    def test_large_notices_arrive_too(self, publisher: Publisher, documents: Documents) -> None:
        sent = [notice(number, filler="x" * 120_000) for number in range(5)]
        assert asyncio.run(publisher.publish(sent)) == [True] * 5
        assert sorted(json.loads(document)["id"] for document in documents()) == [each.id for each in sent]


Messages = Callable[[], list[WebhookMessage]]
"""What lies on the queue, taken off it, in any order."""


class WebhookQueueContract:
    """Provide fixtures `queue` and `messages`."""

    def test_nothing_to_send_is_nothing_done(self, queue: WebhookQueue, messages: Messages) -> None:
        assert asyncio.run(queue.send_batch([])) == []
        assert messages() == []

    def test_messages_arrive_to_the_letter(self, queue: WebhookQueue, messages: Messages) -> None:
        sent = [message(number) for number in range(23)] + [message(90 + n, filler="ä" * 100_000) for n in range(4)]
        assert asyncio.run(queue.send_batch(sent)) == [True] * 27
        assert sorted(messages(), key=lambda each: each.seq) == sent


STRAY = Delivery("m1", "no-such-receipt", "", 1, "body")


class WebhookReceiptsContract:
    """Provide a fixture `receipts` for a queue on which nothing lies."""

    def test_a_message_that_is_somebody_elses_by_now_is_passed_over(self, receipts: WebhookReceipts) -> None:
        asyncio.run(receipts.hold(STRAY, 60))

    def test_a_message_is_put_aside_whatever_is_wrong_with_it(self, receipts: WebhookReceipts) -> None:
        for reason in ("", "x" * 5000, "größe \U0001f680"):
            asyncio.run(receipts.put_aside(STRAY, reason))
