"""The contract of `SessionTurns`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flotilla.coordination import Turn
from flotilla.models import Payload
from flotilla.ports import SessionTurns


def turn(position: int, content: Any = None, task_id: str = "tsk_a") -> Turn:
    return Turn(position, task_id, Payload(inline=content))


def put(turns: SessionTurns, *wanted: Turn, tenant: str = "acme", session: str = "s") -> None:
    asyncio.run(turns.put(tenant, session, wanted))


def read(turns: SessionTurns, tenant: str = "acme", session: str = "s") -> list[Turn]:
    return asyncio.run(turns.read(tenant, session))


class SessionTurnsContract:
    """Provide a fixture `turns`: a store without any turn."""

    def test_a_session_begins_without_turns(self, turns: SessionTurns) -> None:
        assert read(turns) == []

    @pytest.mark.parametrize("content", [None, 0.1, "größe \u2028 \U0001f680", [], {"role": "user", "parts": [{}, 1]}])
    def test_a_turn_comes_back_as_it_was_put(self, turns: SessionTurns, content: Any) -> None:
        put(turns, turn(0, content))
        assert read(turns) == [turn(0, content)]

    def test_a_reference_to_a_large_content_comes_back(self, turns: SessionTurns) -> None:
        large = Turn(0, "tsk_a", Payload(ref="tenants/acme/x.json", size_bytes=70_000, sha256="ab" * 32))
        put(turns, large)
        assert read(turns) == [large]

    def test_turns_are_in_order_of_position_whatever_order_they_were_put_in(self, turns: SessionTurns) -> None:
        put(turns, turn(10), turn(2), turn(9))
        put(turns, turn(0))
        assert [found.position for found in read(turns)] == [0, 2, 9, 10]

    def test_putting_turns_again_changes_nothing(self, turns: SessionTurns) -> None:
        put(turns, turn(0, "first"), turn(1, "second"))
        put(turns, turn(0, "first"), turn(1, "second"), turn(2, "third"))
        put(turns, turn(0, "another"))
        assert [found.content.inline for found in read(turns)] == ["first", "second", "third"]

    def test_two_tasks_at_one_position_are_both_kept(self, turns: SessionTurns) -> None:
        """The same session on two lanes has no order between them."""
        put(turns, turn(0, "a", "tsk_a"))
        put(turns, turn(0, "b", "tsk_b"))
        assert [found.content.inline for found in read(turns)] == ["a", "b"]

    def test_tenants_and_sessions_do_not_see_each_other(self, turns: SessionTurns) -> None:
        put(turns, turn(0, "mine"))
        put(turns, turn(0, "theirs"), tenant="other")
        put(turns, turn(0, "elsewhere"), session="s2")
        put(turns, turn(0, "joined"), tenant="a", session="cme\0s")
        assert [found.content.inline for found in read(turns)] == ["mine"]
        assert [found.content.inline for found in read(turns, tenant="other")] == ["theirs"]

    def test_nothing_to_put_is_nothing_done(self, turns: SessionTurns) -> None:
        put(turns)
        assert read(turns) == []

    def test_what_is_read_can_be_changed_without_changing_the_session(self, turns: SessionTurns) -> None:
        put(turns, turn(0, {"text": "kept"}))
        read(turns)[0].content.inline["text"] = "changed by a reader"
        assert read(turns)[0].content.inline == {"text": "kept"}

    def test_of_a_long_session_the_newest_thousand_are_in_sight(self, turns: SessionTurns) -> None:
        put(turns, *(turn(number) for number in range(1005)))
        assert [found.position for found in read(turns)] == list(range(5, 1005))
