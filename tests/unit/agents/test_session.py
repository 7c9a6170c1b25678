"""`ctx.session`, as async and as plain agents use it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from flotilla.agents.session import Session, SyncSession
from flotilla.errors import PermanentError


class Memory:
    """A memory that is a list."""

    def __init__(self) -> None:
        self.contents: list[Any] = ["earlier"]

    async def turns(self) -> list[Any]:
        return list(self.contents)

    async def append(self, content: Any) -> None:
        await asyncio.sleep(0)
        self.contents.append(content)


def test_an_async_agent_reads_and_adds_turns() -> None:
    async def agent(session: Session) -> list[Any]:
        await session.append({"role": "agent"})
        return await session.turns()

    assert asyncio.run(agent(Session(Memory()))) == ["earlier", {"role": "agent"}]


def test_a_plain_agent_does_so_on_its_own_thread() -> None:
    def agent(session: SyncSession) -> list[Any]:
        session.append("added")
        return session.turns()

    async def run() -> list[Any]:
        loop = asyncio.get_running_loop()

        def call(work: Coroutine[Any, Any, Any]) -> Any:
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        return await loop.run_in_executor(None, agent, SyncSession(Session(Memory()), call))

    assert asyncio.run(run()) == ["earlier", "added"]


def test_a_task_without_a_session_has_no_memory() -> None:
    """Submitting it again, as it is, would not help: so the task is dead-lettered at once."""
    session = Session(None)
    for use in (session.turns(), session.append("x")):
        with pytest.raises(PermanentError) as raised:
            asyncio.run(use)
        assert raised.value.code == "no_session"
