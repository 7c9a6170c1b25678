"""The broadcast's fakes keep the contracts of what they stand for, and its values survive their travels."""

from __future__ import annotations

import json

import pytest

from flotilla.broadcast import Target, WebhookMessage
from flotilla.broadcast_ports import Endpoints, Publisher, WebhookQueue, WebhookReceipts
from flotilla.errors import UnreadableMessageError
from tests.contracts.endpoints import ENDPOINT, EndpointsContract
from tests.contracts.publisher import (
    Documents,
    Messages,
    PublisherContract,
    WebhookQueueContract,
    WebhookReceiptsContract,
    message,
)
from tests.fakes.broadcast import MemoryEndpoints, MemoryPublisher, MemoryWebhookQueue, MemoryWebhookReceipts


class TestMemoryEndpoints(EndpointsContract):
    @pytest.fixture
    def endpoints(self) -> Endpoints:
        return MemoryEndpoints()


class TestMemoryPublisher(PublisherContract):
    @pytest.fixture
    def publisher(self) -> Publisher:
        return MemoryPublisher()

    @pytest.fixture
    def documents(self, publisher: MemoryPublisher) -> Documents:
        return lambda: [notice.document for notice in publisher.published]


class TestMemoryWebhookQueue(WebhookQueueContract):
    @pytest.fixture
    def queue(self) -> WebhookQueue:
        return MemoryWebhookQueue()

    @pytest.fixture
    def messages(self, queue: MemoryWebhookQueue) -> Messages:
        return lambda: queue.sent


class TestMemoryWebhookReceipts(WebhookReceiptsContract):
    @pytest.fixture
    def receipts(self) -> WebhookReceipts:
        return MemoryWebhookReceipts()


def test_members_of_another_version_are_no_fault_of_a_message() -> None:
    value = json.loads(message(1).to_body()) | {"v": 2, "later": {"member": 1}}
    assert WebhookMessage.from_body(json.dumps(value)) == message(1)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "[" * 100_000,
        json.dumps({name: value for name, value in json.loads(message(1).to_body()).items() if name != "payload"}),
        json.dumps(json.loads(message(1).to_body()) | {"seq": "1"}),
        json.dumps(json.loads(message(1).to_body()) | {"payload": {"a": 1}}),
    ],
    ids=range(9),
)
def test_what_is_no_message_is_told_as_such(body: str) -> None:
    with pytest.raises(UnreadableMessageError):
        WebhookMessage.from_body(body)


def test_a_secret_is_not_shown_where_an_endpoint_is() -> None:
    assert "whsec" not in repr(ENDPOINT)


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        (Target(True, "a.example", 443, "/"), "a.example"),
        (Target(True, "a.example", 8443, "/"), "a.example:8443"),
        (Target(True, "2001:db8::1", 8443, "/"), "[2001:db8::1]:8443"),
        (Target(False, "localhost", 80, "/"), "localhost"),
        (Target(False, "localhost", 443, "/"), "localhost:443"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_not_the_schemes_own(target: Target, authority: str) -> None:
    assert target.authority == authority
