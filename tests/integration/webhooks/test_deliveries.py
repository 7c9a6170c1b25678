"""Webhooks end to end, from registration to a real receiver that verifies with the standard's own library."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Sequence

import pytest
from standardwebhooks import Webhook

from flotilla.broadcast import Answer, Endpoint, WebhookMessage
from flotilla.clock import SystemClock
from flotilla.models import Delivery
from flotilla.outbound.sender import PinnedSender
from flotilla.primitives.webhook_signature import message_id
from flotilla.services.destinations import Destinations, ForbiddenDestinationError
from flotilla.services.endpoints import EndpointService, Registration
from flotilla.services.webhook_delivery import WebhookDeliveries
from tests.fakes.broadcast import MemoryEndpoints, MemoryResolver, MemorySender, MemoryWebhookReceipts
from tests.integration.webhooks.receiver import Receiver, receiving

PUBLIC = "93.184.216.34"
PAYLOAD = json.dumps({"type": "task.succeeded", "data": {"id": "tsk_1", "output": "größe \U0001f680"}})


class Webhooks:
    """Registration and delivery over the same endpoints, on the machine's clock, since receivers check the time."""

    def __init__(self, resolver: MemoryResolver | None = None, allow: Sequence[str] = ("127.0.0.1",)) -> None:
        self.endpoints = MemoryEndpoints()
        self.resolver = resolver or MemoryResolver([])
        self.receipts = MemoryWebhookReceipts()
        self.clock = SystemClock()
        self.destinations = Destinations(self.resolver, allow)
        self.service = EndpointService(self.endpoints, self.destinations, self.clock, secrets.token_bytes)

    def register(self, url: str) -> Endpoint:
        return asyncio.run(self.service.register(Registration("acme", url)))

    def deliver(self, endpoint: Endpoint, *, seq: int = 2, sender: MemorySender | PinnedSender | None = None) -> bool:
        """Whether the message is done with."""
        message = WebhookMessage(
            id=message_id("tsk_1", seq, endpoint.id),
            tenant=endpoint.tenant,
            endpoint_id=endpoint.id,
            task_id="tsk_1",
            seq=seq,
            queued_at_ms=self.clock.now_ms(),
            payload=PAYLOAD,
        )
        deliveries = WebhookDeliveries(
            endpoints=self.endpoints,
            destinations=self.destinations,
            sender=sender or PinnedSender(),
            receipts=self.receipts,
            clock=self.clock,
            dice=random.Random(5),
        )
        delivery = Delivery("m1", "receipt", "", 1, message.to_body())
        return asyncio.run(deliveries.run([delivery], self.clock.now_ms() + 60_000)) == []


def url_of(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/hooks?tenant=acme"


def test_a_receiver_verifies_what_it_gets_with_the_standards_own_library() -> None:
    webhooks = Webhooks()
    with receiving() as receiver:
        endpoint = webhooks.register(url_of(receiver))
        assert webhooks.deliver(endpoint)
        (received,) = receiver.received
    verified = Webhook(endpoint.secrets[0].text).verify(received.body, received.headers)
    assert verified == json.loads(PAYLOAD)
    assert received.path == "/hooks?tenant=acme"


def test_the_id_is_the_same_for_every_attempt_and_another_for_another_event() -> None:
    webhooks = Webhooks()
    with receiving() as receiver:
        endpoint = webhooks.register(url_of(receiver))
        receiver.answer = lambda _received: Answer(500)
        assert not webhooks.deliver(endpoint)
        receiver.answer = lambda _received: Answer(200)
        assert webhooks.deliver(endpoint)
        assert webhooks.deliver(endpoint, seq=3)
        ids = [received.headers["webhook-id"] for received in receiver.received]
    assert ids[0] == ids[1] != ids[2]


def test_through_a_rotation_receivers_with_the_old_and_with_the_new_secret_verify() -> None:
    webhooks = Webhooks()
    with receiving() as receiver:
        first = webhooks.register(url_of(receiver))
        second = webhooks.register(url_of(receiver))
        assert second.id == first.id
        assert second.secrets[0].text != first.secrets[0].text
        webhooks.deliver(second)
        (received,) = receiver.received
    for endpoint in (first, second):
        Webhook(endpoint.secrets[0].text).verify(received.body, received.headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_leads_nowhere(status: int) -> None:
    webhooks = Webhooks()
    with receiving() as inside, receiving() as receiver:
        receiver.answer = lambda _received: Answer(status)
        receiver.location = f"http://127.0.0.1:{inside.port}/latest/meta-data/iam/security-credentials/"
        assert not webhooks.deliver(webhooks.register(url_of(receiver)))
        assert inside.received == []
        assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:{port}/",
        "https://10.0.0.1/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest/meta-data/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:a9fe:a9fe::]/",
        "https://100.64.0.1/",
        "https://0.0.0.0:{port}/",
        "http://127.0.0.1:{port}/",
        "http://example.com/",
        "https://example.com:22/",
        "https://user:password@example.com/",
    ],
)
def test_private_and_metadata_addresses_are_refused_at_registration(url: str) -> None:
    webhooks = Webhooks(MemoryResolver([PUBLIC]), allow=())
    with receiving() as receiver:
        with pytest.raises(ForbiddenDestinationError):
            webhooks.register(url.format(port=receiver.port))
        assert receiver.received == []
    assert webhooks.endpoints.endpoints == {}


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["169.254.169.254"], ["fd00:ec2::254"], [PUBLIC, "10.0.0.1"], [PUBLIC, "::ffff:127.0.0.1"]],
)
def test_a_name_that_stands_for_anything_inside_is_refused(addresses: list[str]) -> None:
    webhooks = Webhooks(MemoryResolver(addresses), allow=())
    with pytest.raises(ForbiddenDestinationError, match="not public"):
        webhooks.register("https://hooks.example/")


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"])
def test_a_name_that_changes_after_registration_is_refused_at_delivery(inside: str) -> None:
    """DNS rebinding across time: public when it is looked at, inside when it is called."""
    webhooks = Webhooks(MemoryResolver([PUBLIC], [inside]), allow=())
    with receiving() as receiver:
        endpoint = webhooks.register(f"https://hooks.example:{receiver.port}/")
        assert not webhooks.deliver(endpoint)
        assert receiver.received == []
    assert len(webhooks.resolver.asked) == 2


def test_a_name_that_changes_between_check_and_connection_has_no_such_moment() -> None:
    """DNS rebinding within a delivery: every second answer leads inside, and nobody asks a second time."""
    webhooks = Webhooks(MemoryResolver([PUBLIC], [PUBLIC], ["127.0.0.1"], [PUBLIC], ["127.0.0.1"]), allow=())
    endpoint = webhooks.register("https://hooks.example/")
    sender = MemorySender()
    for attempt in range(4):
        asked = len(webhooks.resolver.asked)
        webhooks.deliver(endpoint, seq=attempt, sender=sender)
        assert len(webhooks.resolver.asked) == asked + 1
    assert [posted.addresses for posted in sender.posted] == [(PUBLIC,), (PUBLIC,)]
    assert {posted.target.host for posted in sender.posted} == {"hooks.example"}


def test_only_the_address_that_was_checked_is_connected_to() -> None:
    """Two real listeners, of which one address was checked: the other never sees a connection."""
    with receiving() as checked, receiving(host="127.0.0.2", port=checked.port) as other:
        webhooks = Webhooks(MemoryResolver(["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2"]), allow=("hooks.example",))
        endpoint = webhooks.register(f"http://hooks.example:{checked.port}/")
        assert webhooks.deliver(endpoint)
        assert len(checked.received) == 1
        assert checked.received[0].headers["host"] == f"hooks.example:{checked.port}"
        assert other.received == []


def test_a_name_that_does_not_resolve_yet_can_be_registered_and_is_tried_later() -> None:
    webhooks = Webhooks(MemoryResolver([]), allow=())
    endpoint = webhooks.register("https://soon.example/")
    assert not webhooks.deliver(endpoint)
    assert len(webhooks.receipts.held) == 1
