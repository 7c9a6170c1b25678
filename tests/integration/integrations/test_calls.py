"""Calls over real sockets: their time is kept, whatever the other side does, and nobody else is called."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from benchmarks.fault_lab.script import Reply, Script
from flotilla.agents.context import idempotency_key
from flotilla.clock import SystemClock
from flotilla.errors import LimitedError, PermanentError, RetryableError
from flotilla.integrations.client import Caller, IntegrationClient
from flotilla.integrations.desk import IntegrationDesk
from flotilla.integrations.effects import EffectScope
from flotilla.integrations.response import IntegrationRefusedError
from flotilla.primitives.circuit import CallOutcome
from tests.fakes.integrations import MemoryProtection, MemorySecrets
from tests.integration.integrations.loopback import OnLoopback, on_loopback
from tests.unit.integrations.calling import Supervised
from tests.unit.integrations.declarations import crm

LATE_SECONDS = 1.0
"""What busy cores may add to a call's end; the call itself ends to the millisecond (see its tests on virtual time)."""


@dataclass
class Agent:
    """An attempt with a dependency on loopback."""

    there: OnLoopback
    desk: IntegrationDesk
    protection: MemoryProtection

    def call(self, method: str = "GET", path: str = "/a", attempt_seconds: float = 60, **options: Any) -> Any:
        """Make one call; the answer, and how long it took."""
        (found,) = self.there.run(partial(self._timed, method, path, attempt_seconds, options))
        return found

    async def _timed(self, method: str, path: str, seconds: float, options: dict[str, Any]) -> tuple[object, float]:
        loop = asyncio.get_running_loop()
        client = self._client(seconds)
        began = loop.time()
        try:
            outcome: object = await client.request(method, path, **options)
        except (PermanentError, RetryableError, LimitedError) as error:
            outcome = error
        return outcome, loop.time() - began

    def _client(self, seconds: float) -> IntegrationClient:
        caller = Caller(
            agent="a.b",
            tenant="acme",
            ends_ms=SystemClock().now_ms() + int(seconds * 1000),
            supervisor=Supervised(),
            idempotency_key=partial(idempotency_key, "tsk_1"),
            effects=EffectScope(),
        )
        return self.desk.client("crm", ("crm",), caller)


@contextmanager
def agent(script: Script, more: str = "", secrets: MemorySecrets | None = None) -> Iterator[Agent]:
    with on_loopback(script) as there:
        protection = MemoryProtection()
        desk = IntegrationDesk(
            {"crm": crm(f"private = true\n{more}", base_url=there.origin + "/v2")},
            transport=there.pool,
            secrets=secrets or MemorySecrets(),
            protect=lambda _integration: protection,
            clock=SystemClock(),
            random=random.Random(7),
        )
        yield Agent(there, desk, protection)


TIGHT = "timeouts = { connect_seconds = 0.5, read_seconds = 0.5, total_seconds = 0.5 }"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(fault="stall"),
        Reply(latency_ms=(5000, 5000)),
        Reply(body=b"x" * 10_000, fault="drip", drip_ms=10),
        Reply(status=503),
        Reply(fault="reset"),
        Reply(fault="cut"),
        Reply(status=429, headers={"Retry-After": "0"}),
    ],
    ids=lambda reply: reply.fault or f"{reply.status} after {reply.latency_ms[0]:.0f} ms",
)
def test_no_call_takes_longer_than_its_total(reply: Reply) -> None:
    with agent(Script.steady(reply), TIGHT + "\nretry.attempts = 10") as found:
        outcome, seconds = found.call()
        assert isinstance(outcome, RetryableError | LimitedError)
        assert seconds < 0.5 + LATE_SECONDS
        (again, _) = found.call()
        assert isinstance(again, RetryableError | LimitedError)


def test_a_call_that_is_given_less_time_takes_less() -> None:
    with agent(Script.steady(Reply(fault="stall"))) as found:
        for options in ({"attempt_seconds": 0.32}, {"timeout_seconds": 0.3}):
            outcome, seconds = found.call(**options)  # type: ignore[arg-type]
            assert isinstance(outcome, RetryableError)
            assert 0.28 < seconds < 0.3 + LATE_SECONDS


def test_a_stream_that_is_cut_is_read_again_and_whole() -> None:
    with agent(Script.one_after_the_other(Reply(fault="cut"), Reply(fault="cut"), Reply())) as found:
        answer, _ = found.call("POST", json={"a": 1})
        assert answer.json()["body"] == '{"a":1}'
        keys = {received.headers["idempotency-key"] for received in found.there.server.received}
        assert len(keys) == 1
        assert found.protection.outcomes() == [CallOutcome.FAILED, CallOutcome.FAILED, CallOutcome.OK]


def test_who_asks_for_time_gets_it() -> None:
    with agent(Script.one_after_the_other(Reply(status=429, headers={"Retry-After": "1"}), Reply())) as found:
        answer, seconds = found.call()
        assert answer.status == 200
        assert 1 <= seconds < 1.5 + LATE_SECONDS


def test_nobody_else_is_called_by_redirect() -> None:
    with on_loopback(Script.steady()) as other:
        elsewhere = Reply(status=302, headers={"Location": f"{other.origin}/v2/secrets"})
        with agent(Script.steady(elsewhere)) as found:
            outcome, _ = found.call()
            assert isinstance(outcome, IntegrationRefusedError)
        assert other.server.connections == 0
    with agent(Script.one_after_the_other(Reply(status=307, headers={"Location": "/v2/b"}), Reply())) as found:
        answer, _ = found.call()
        assert answer.json()["path"] == "/v2/b"


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    with agent(Script.steady(Reply(body=b"x" * 20_000_000)), "response_bytes = 100000") as found:
        outcome, seconds = found.call()
        assert isinstance(outcome, PermanentError)
        assert outcome.code == "integration_answer_unusable"
        assert seconds < 5


def test_credentials_go_along() -> None:
    secrets = MemorySecrets({"crm/token": "t0ken"})
    with agent(Script.steady(), 'auth.secret = "crm/token"', secrets) as found:
        answer, _ = found.call()
        assert answer.json()["headers"]["authorization"] == "Bearer t0ken"
        assert answer.json()["headers"]["accept"] == "application/json"


def test_many_calls_at_once_share_few_connections_and_one_secret() -> None:
    secrets = MemorySecrets({"crm/token": "t0ken"})
    with agent(Script.steady(Reply(latency_ms=(1, 5))), 'auth.secret = "crm/token"', secrets) as found:
        work = [partial(found._timed, "GET", f"/{number}", 60.0, {}) for number in range(200)]
        answers = found.there.run(*work)
        assert {answer.status for answer, _ in answers} == {200}
        assert {answer.json()["path"] for answer, _ in answers} == {f"/v2/{number}" for number in range(200)}
        assert found.there.server.connections <= 64
        assert secrets.reads == 1
