"""Makes AWS clients fail as AWS does, at the client's own seams: stubbed answers and event hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.stub import Stubber

ERRORS = [
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    "ResourceNotFoundException",
    "AccessDeniedException",
    "ExpiredTokenException",
    "ValidationException",
]
"""Codes of errors that a table, a bucket or a queue may answer with, whoever's fault they are."""


@contextmanager
def answering_with(client: Any, operation: str, code: str) -> Iterator[None]:
    """The next call of `operation` (as the method is called) is answered with an error."""
    with Stubber(client) as stubber:
        stubber.add_client_error(operation, code, "as told")
        yield
        stubber.assert_no_pending_responses()


@contextmanager
def _raising(client: Any, event: str, operation: str, error: Exception) -> Iterator[None]:
    """Calls of `operation` fail when they come to `event`."""

    def fail(event_name: str, **_: Any) -> None:
        if event_name.endswith(f".{operation}"):
            raise error

    # What stands in for AWS may listen to the same event.
    client.meta.events.register_first(event, fail)
    try:
        yield
    finally:
        client.meta.events.unregister(event, fail)


def unreachable(client: Any, operation: str) -> AbstractContextManager[None]:
    """Calls of `operation` (as AWS names it) do not get through."""
    return _raising(client, "before-send", operation, EndpointConnectionError(endpoint_url=client.meta.endpoint_url))


def answers_lost(client: Any, operation: str) -> AbstractContextManager[None]:
    """Calls of `operation` get through and are carried out; their answers are lost."""
    return _raising(client, "response-received", operation, ReadTimeoutError(endpoint_url=client.meta.endpoint_url))


@contextmanager
def requests_of(client: Any, operation: str) -> Iterator[list[dict[str, Any]]]:
    """Collects the parameters of the calls of `operation` (as AWS names it)."""
    collected: list[dict[str, Any]] = []

    def collect(params: dict[str, Any], **_: Any) -> None:
        collected.append(dict(params))

    name = f"provide-client-params.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(name, collect)
    try:
        yield collected
    finally:
        client.meta.events.unregister(name, collect)
