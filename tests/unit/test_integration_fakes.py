"""The fakes of integrations' ports keep the contracts of what they stand for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.fault_lab.script import Script
from flotilla.integration_ports import HttpAnswer, HttpBounds, HttpRequest
from tests.contracts.http_transport import Dependency, HttpTransportContract
from tests.contracts.secrets import SecretsContract
from tests.fakes.integrations import MemorySecrets, MemoryTransport
from tests.fakes.virtual_time import run_virtually

DEAD = "http://dead.example"


class _Reachable:
    """The scripted dependency, and beside it a host at which nobody listens."""

    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport

    async def send(self, request: HttpRequest, bounds: HttpBounds) -> HttpAnswer:
        self._transport.reachable = request.origin != DEAD
        return await self._transport.send(request, bounds)


class _InMemory(Dependency):
    def __init__(self, script: Script) -> None:
        self._scripted = MemoryTransport(script)
        self.transport = _Reachable(self._scripted)
        self.origin = "http://live.example"
        self.dead_origin = DEAD

    def run(self, *work: Callable[[], Any]) -> list[Any]:
        async def all_of_it() -> list[Any]:
            return list(await asyncio.gather(*(each() for each in work)))

        return run_virtually(all_of_it())

    def sent(self) -> int:
        return len(self._scripted.sent)


class TestMemoryTransport(HttpTransportContract):
    @pytest.fixture
    def dependency(self) -> Callable[[Script], Dependency]:
        return _InMemory


class TestMemorySecrets(SecretsContract):
    @pytest.fixture
    def secrets(self) -> MemorySecrets:
        return MemorySecrets()

    @pytest.fixture
    def put(self, secrets: MemorySecrets) -> Callable[[str, str], None]:
        return secrets.texts.__setitem__
