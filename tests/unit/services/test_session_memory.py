"""The memory of a session: what an attempt sees of it, what it adds, and what bounds that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel

from flotilla.coordination import Turn
from flotilla.errors import PermanentError
from flotilla.models import Payload, canonical_json
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.session_memory import MAX_TURNS, SessionMemory, keep_turns
from tests.fakes import MemoryPayloadStore
from tests.fakes.session_turns import MemorySessionTurns

INLINE_BYTES = 1000


class Sessions:
    """A store of turns, and attempts on it."""

    def __init__(self, inline_bytes: int = INLINE_BYTES) -> None:
        self.turns = MemorySessionTurns()
        self.payloads = MemoryPayloadStore()
        self.claim_check = ClaimCheck(self.payloads, inline_bytes)

    def attempt(self, task_id: str = "tsk_a", tenant: str = "acme", session: str = "s") -> SessionMemory:
        return SessionMemory(self.turns, self.claim_check, tenant, session, task_id)

    async def commit(self, memory: SessionMemory, task_id: str = "tsk_a") -> dict[str, Any]:
        """What happens when the attempt succeeds; returns the event's body as it is read back."""
        body = {"turns": [turn.to_json() for turn in await memory.pending()]}
        stored: dict[str, Any] = json.loads(canonical_json(body))
        await keep_turns(self.turns, "acme", "s", task_id, stored)
        return stored


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    sessions = Sessions()
    assert run(sessions.attempt().pending()) == []
    assert sessions.turns.reads == 0


def test_a_session_is_read_once_an_attempt() -> None:
    sessions = Sessions()

    async def scenario() -> None:
        memory = sessions.attempt()
        await asyncio.gather(memory.turns(), memory.append("one"), memory.turns())
        await memory.append("two")
        assert await memory.turns() == ["one", "two"]

    run(scenario())
    assert sessions.turns.reads == 1


def test_what_one_task_appends_the_next_one_sees() -> None:
    sessions = Sessions()

    async def scenario() -> None:
        first = sessions.attempt("tsk_a")
        await first.append({"role": "user", "text": "größe"})
        await first.append({"role": "agent", "text": "x"})
        await sessions.commit(first, "tsk_a")
        second = sessions.attempt("tsk_b")
        assert await second.turns() == [{"role": "user", "text": "größe"}, {"role": "agent", "text": "x"}]
        await second.append("again")
        assert (await second.pending())[0].position == 2
        await sessions.commit(second, "tsk_b")
        assert (await sessions.attempt("tsk_c").turns())[-1] == "again"

    run(scenario())


def test_an_attempt_sees_its_own_turns_and_nobody_else_does() -> None:
    sessions = Sessions()

    async def scenario() -> None:
        failing = sessions.attempt()
        await failing.append("of an attempt that fails")
        assert await failing.turns() == ["of an attempt that fails"]
        assert await sessions.attempt().turns() == []
        assert sessions.turns.puts == 0

    run(scenario())


def test_positions_go_on_from_what_was_read_even_without_looking_at_it() -> None:
    sessions = Sessions()

    async def scenario() -> None:
        await sessions.turns.put("acme", "s", [Turn(41, "tsk_z", Payload(inline="old"))])
        memory = sessions.attempt()
        await asyncio.gather(*(memory.append(number) for number in range(3)))
        assert [turn.position for turn in await memory.pending()] == [42, 43, 44]
        assert {turn.task_id for turn in await memory.pending()} == {"tsk_a"}

    run(scenario())


def test_what_is_appended_is_kept_as_it_was_then() -> None:
    async def scenario() -> None:
        memory = Sessions().attempt()
        content = {"parts": ["one"]}
        await memory.append(content)
        content["parts"].append("two")
        (await memory.turns())[0]["parts"].append("three")
        assert await memory.turns() == [{"parts": ["one"]}]
        assert (await memory.pending())[0].content.inline == {"parts": ["one"]}

    run(scenario())


class Said(BaseModel):
    on: date
    text: str


def test_what_pydantic_makes_json_of_is_appended_as_that_json() -> None:
    async def scenario() -> None:
        memory = Sessions().attempt()
        await memory.append(Said(on=date(2026, 11, 3), text="x"))
        assert await memory.turns() == [{"on": "2026-11-03", "text": "x"}]

    run(scenario())


@pytest.mark.parametrize(
    "content",
    [float("nan"), object(), "caf\udce9", {"deep": {float("inf")}}],
    ids=["not a number", "an object", "half a character", "infinity"],
)
def test_what_is_not_json_is_refused_for_good(content: Any) -> None:
    async def scenario() -> None:
        memory = Sessions().attempt()
        with pytest.raises(PermanentError) as raised:
            await memory.append(content)
        assert raised.value.code == "invalid_turn"
        assert await memory.pending() == []

    run(scenario())


def test_an_attempt_may_append_only_so_many_turns() -> None:
    async def scenario() -> None:
        memory = Sessions().attempt()
        for number in range(MAX_TURNS):
            await memory.append(number)
        with pytest.raises(PermanentError) as raised:
            await memory.append("one too many")
        assert raised.value.code == "too_many_turns"
        assert len(await memory.pending()) == MAX_TURNS

    run(scenario())


def test_a_large_content_lies_in_the_payload_store_and_is_fetched_once() -> None:
    sessions = Sessions()

    async def scenario() -> None:
        memory = sessions.attempt()
        await memory.append("x" * INLINE_BYTES)
        (turn,) = await memory.pending()
        assert turn.content.ref is not None
        await sessions.commit(memory)
        later = sessions.attempt("tsk_b")
        assert await later.turns() == ["x" * INLINE_BYTES]
        sessions.payloads.objects.clear()
        assert await later.turns() == ["x" * INLINE_BYTES]

    run(scenario())


def test_the_event_that_commits_all_turns_stays_small_whatever_they_are() -> None:
    sessions = Sessions(inline_bytes=32_768)

    async def scenario() -> None:
        memory = sessions.attempt()
        wanted = [f"{number:03d}" * 10_000 for number in range(MAX_TURNS)]
        for content in wanted:
            await memory.append(content)
        body = await sessions.commit(memory)
        assert len(canonical_json(body)) < 100_000
        assert await sessions.attempt("tsk_b").turns() == wanted

    run(scenario())


def test_turns_of_a_committed_event_can_be_put_again_by_whoever_finds_it() -> None:
    sessions = Sessions()

    async def scenario() -> None:
        memory = sessions.attempt()
        await memory.append("one")
        body = await sessions.commit(memory)
        await keep_turns(sessions.turns, "acme", "s", "tsk_a", body)
        assert await sessions.attempt("tsk_b").turns() == ["one"]

    run(scenario())


def test_an_event_without_turns_costs_no_call() -> None:
    sessions = Sessions()
    run(keep_turns(sessions.turns, "acme", "s", "tsk_a", {"output": {"inline": 1}}))
    assert sessions.turns.puts == 0
