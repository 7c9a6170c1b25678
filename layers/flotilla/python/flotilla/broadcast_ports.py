"""What the broadcast needs from the world, as `ports` says it for the rest.

Publishers and the queue answer for each item by itself: a batch that got through in part is the normal case of a busy
service, not an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from flotilla.broadcast import Answer, Endpoint, Notice, Target, WebhookMessage
from flotilla.models import Delivery, Status


class Publisher(Protocol):
    """A bus or topic that transitions are published on."""

    async def publish(self, notices: Sequence[Notice]) -> list[bool]:
        """Publish, in the order given.

        Returns:
            For each notice whether it surely got through. One that did not may have, all the same.
        """
        ...


class WebhookQueue(Protocol):
    """The sending side of the webhooks' queue."""

    async def send_batch(self, messages: Sequence[WebhookMessage]) -> list[bool]:
        """Put messages on the queue, in the order given.

        Returns:
            For each message whether it is surely durable. One that is not may be, all the same.
        """
        ...


class WebhookReceipts(Protocol):
    """What is done with the messages that the webhooks' queue handed out."""

    async def hold(self, delivery: Delivery, seconds: int) -> None:
        """Make the message visible again after that many whole seconds.

        Best effort: a failure costs only time, because the queue's own visibility timeout stands behind it.
        """
        ...

    async def put_aside(self, delivery: Delivery, reason: str) -> None:
        """Copy a message that is given up to the dead letter queue.

        Raises:
            RetryableError: The queue did not answer; the message is still where it was, and may be there too.
        """
        ...


class Endpoints(Protocol):
    """Where endpoints are kept. Every method raises `RetryableError` where the store does not answer."""

    async def add(self, endpoint: Endpoint) -> bool:
        """Store a new endpoint; False where its tenant has one of that id, which is left as it is."""
        ...

    async def get(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        """The endpoint, strongly consistent."""
        ...

    async def of(self, tenant: str) -> list[Endpoint]:
        """All of a tenant's endpoints, strongly consistent, the oldest first."""
        ...

    async def change(self, endpoint: Endpoint) -> bool:
        """Store what `endpoint` has become, one version on; False where it has changed (or gone) since it was read."""
        ...

    async def remove(self, tenant: str, endpoint_id: str) -> bool:
        """Forget an endpoint; False where there was none."""
        ...

    async def ask_for(self, statuses: Iterable[Status]) -> None:
        """Note that some endpoint of the fleet may ask for these, for `asked_for`."""
        ...

    async def asked_for(self) -> frozenset[Status]:
        """Every status that any endpoint of any tenant may ask for, and perhaps more."""
        ...


class Resolver(Protocol):
    """The domain name system."""

    async def addresses(self, host: str, port: int) -> list[str]:
        """The host's IP addresses, in the order to try them in.

        Raises:
            RetryableError: There are none, or the resolver did not answer.
        """
        ...


class WebhookSender(Protocol):
    """Makes HTTP requests to addresses that somebody else has checked."""

    async def post(
        self, target: Target, addresses: Sequence[str], headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """Send a POST request to the first of `addresses` that takes the connection, and to no other place.

        Names are not resolved, redirects not followed, and an answer is not read beyond a bound.

        Raises:
            RetryableError: No answer in time, or none that is one.
        """
        ...
