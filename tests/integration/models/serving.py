"""Model providers whose other side is the scripted server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from benchmarks.fault_lab.script import Reply, Script
from benchmarks.fault_lab.scripted_model import Answer
from benchmarks.fault_lab.server import FaultServer
from flotilla.bedrock.converse import BedrockModels, Structured
from flotilla.clock import SystemClock
from flotilla.integrations.declaration import Auth
from flotilla.llm.openai_compatible import OpenAiCompatible
from flotilla.llm_ports import ModelProvider
from flotilla.outbound.http import Http
from flotilla.outbound.resolver import SystemResolver
from flotilla.runtime.threads import ThreadRunner
from tests.contracts.model_provider import Serving
from tests.fakes.integrations import MemorySecrets
from tests.integration.integrations.loopback import free_port

T = TypeVar("T")

CODES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


class OnLoopback(Serving):
    """A provider and the server that it asks; `received` are the bodies that came."""

    def __init__(self, server: FaultServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def follow(self, *replies: Reply) -> None:
        # The server follows on a thread of its own.
        self.server.follow(Script.one_after_the_other(*replies))

    def sent(self) -> int:
        return len(self.server.received)

    @property
    def received(self) -> list[Any]:
        """The bodies that came."""
        return [each.json() for each in self.server.received]


class OpenAiOnLoopback(OnLoopback):
    """An OpenAI-compatible server."""

    def __init__(self, server: FaultServer, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(server, loop)
        self.secrets = MemorySecrets({"key": "sk-1"})
        self._resolving = ThreadRunner("resolve", 2)
        self._transport = Http(SystemResolver(self._resolving), self._resolving)
        self.provider = self._provider(f"{server.url}/v1", **options)
        self.dead = self._provider(f"http://127.0.0.1:{free_port()}/v1")

    def _provider(self, base_url: str, **options: Any) -> ModelProvider:
        return OpenAiCompatible(
            **{
                "base_url": base_url,
                "transport": self._transport,
                "secrets": self.secrets,
                "clock": SystemClock(),
                "auth": Auth("bearer", "key"),
                "private": True,
            }
            | options
        )

    def body(self, answer: Answer) -> bytes:
        return json.dumps(answer.openai()).encode()

    def failing(self, status: int, said: str = "as told", **headers: str) -> Reply:
        error = {"message": said, "type": "error", "code": None}
        return Reply(status=status, headers=headers, body=json.dumps({"error": error}).encode())

    async def aclose(self) -> None:
        if self._transport._pool is not None:
            await self._transport._pool.aclose()


@cache
def _session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")


class BedrockOnLoopback(OnLoopback):
    """An endpoint that speaks Bedrock's Converse."""

    def __init__(
        self, server: FaultServer, loop: asyncio.AbstractEventLoop, structured: Structured | None = None
    ) -> None:
        super().__init__(server, loop)
        self.waited: list[float] = []
        self.provider = self._provider(server.url, structured)
        self.dead = self._provider(f"http://127.0.0.1:{free_port()}", structured)

    def _provider(self, url: str, structured: Structured | None) -> ModelProvider:
        once = {"total_max_attempts": 1, "mode": "standard"}
        # It checks what it is given against the service's model, which the functions' own does not.
        client = _session().client(
            "bedrock-runtime",
            endpoint_url=url,
            config=Config(retries=once, read_timeout=5, connect_timeout=5),  # type: ignore[arg-type]
        )

        def cached(seconds: float) -> Any:
            self.waited.append(seconds)
            return client

        return BedrockModels(cached, ThreadRunner("models", 8), SystemClock(), structured)

    def body(self, answer: Answer) -> bytes:
        return json.dumps(answer.converse()).encode()

    def failing(self, status: int, said: str = "as told", **headers: str) -> Reply:
        named = {"x-amzn-ErrorType": CODES[status]} if status in CODES else {}
        return Reply(status=status, headers=named | headers, body=json.dumps({"message": said}).encode())

    async def aclose(self) -> None:
        pass


@contextmanager
def on_loopback(make: Callable[[FaultServer, asyncio.AbstractEventLoop], Any]) -> Iterator[Any]:
    """What `make` makes, while the block runs."""
    loop = asyncio.new_event_loop()
    with FaultServer(Script.steady()) as server:
        there = make(server, loop)
        try:
            yield there
        finally:
            loop.run_until_complete(there.aclose())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
