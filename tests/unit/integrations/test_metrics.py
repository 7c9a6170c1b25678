"""Each request to an integration is counted, with how long it took; those that the other side failed are errors."""

from __future__ import annotations

import contextlib

import pytest

from benchmarks.fault_lab.script import Reply
from flotilla import trace_context
from flotilla.errors import FlotillaError, ParkedError
from flotilla.integrations.client import IntegrationClient
from flotilla.integrations.response import Response
from tests.unit.integrations.calling import Calling, replies

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OWN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.mark.parametrize(
    ("given", "calls", "errors"),
    [
        ([Reply()], 1, 0),
        ([Reply(status=500), Reply()], 2, 1),
        ([Reply(status=404)], 1, 0),
        ([Reply(fault="reset")], 3, 3),
    ],
)
def test_requests_are_counted_and_those_that_failed(given: list[Reply], calls: int, errors: int) -> None:
    calling = Calling(replies(*given))

    async def work(client: IntegrationClient) -> None:
        with contextlib.suppress(FlotillaError):
            await client.get("/things")

    calling.run(work)
    assert calling.metrics.counted("IntegrationCalls", integration="crm") == calls
    assert calling.metrics.counted("IntegrationErrors", integration="crm") == errors
    assert len(calling.metrics.values("IntegrationLatency", integration="crm")) == calls


def test_what_was_never_sent_is_not_counted() -> None:
    calling = Calling()
    calling.supervised.refusal = ParkedError("paused", code="paused", retry_after_seconds=1)

    async def work(client: IntegrationClient) -> None:
        with pytest.raises(ParkedError):
            await client.get("/things")

    calling.run(work)
    assert calling.metrics.names() == set()


@pytest.mark.parametrize(
    ("headers", "sent"), [({}, [TRACEPARENT]), ({"Traceparent": OWN}, [OWN])], ids=["the task's", "the agent's own"]
)
def test_a_request_says_which_trace_it_is_part_of(headers: dict[str, str], sent: list[str]) -> None:
    calling = Calling()

    async def work(client: IntegrationClient) -> Response:
        with trace_context.carried(TRACEPARENT):
            return await client.get("/things", headers=headers)

    calling.run(work)
    [(_, request)] = calling.transport.sent
    assert [value for name, value in request.headers if name == "traceparent"] == sent
