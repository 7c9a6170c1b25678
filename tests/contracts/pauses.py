"""The contract of `Pauses`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from flotilla.coordination import Pause, PauseScope, stop_mark, stopped_runs
from flotilla.ports import Pauses

PAUSE = Pause(PauseScope.LANE, "batch", "größe \U0001f680 of the bill", "key:k1", 1_700_000_000_000)


def put(pauses: Pauses, *wanted: Pause) -> None:
    async def put_all() -> None:
        for pause in wanted:
            await pauses.put(pause)

    asyncio.run(put_all())


def remove(pauses: Pauses, scope: PauseScope, name: str) -> None:
    asyncio.run(pauses.remove(scope, name))


def in_force(pauses: Pauses) -> list[Pause]:
    """Whatever is in force, in an order that does not depend on the store."""
    return sorted(asyncio.run(pauses.read()), key=lambda pause: (pause.scope, pause.name))


class PausesContract:
    """Provide a fixture `pauses`: a store in which nothing is paused."""

    def test_nothing_is_paused_before_anybody_pauses(self, pauses: Pauses) -> None:
        assert in_force(pauses) == []

    def test_what_was_put_is_in_force_as_it_was_put(self, pauses: Pauses) -> None:
        put(pauses, PAUSE)
        assert in_force(pauses) == [PAUSE]

    def test_a_pause_without_a_reason_is_one(self, pauses: Pauses) -> None:
        put(pauses, replace(PAUSE, reason=""))
        assert in_force(pauses) == [replace(PAUSE, reason="")]

    def test_scopes_and_names_are_kept_apart(self, pauses: Pauses) -> None:
        wanted = [
            Pause(PauseScope.AGENT, "batch", "", "key:k1", 1),
            Pause(PauseScope.AGENT, "document.analyze", "", "key:k1", 2),
            Pause(PauseScope.FLEET, "", "", "key:k1", 3),
            replace(PAUSE, reason=""),
        ]
        put(pauses, *wanted)
        assert in_force(pauses) == wanted
        remove(pauses, PauseScope.AGENT, "batch")
        assert in_force(pauses) == wanted[1:]

    def test_pausing_again_replaces_the_pause(self, pauses: Pauses) -> None:
        again = replace(PAUSE, reason="another", actor="key:k2", since_ms=5)
        put(pauses, PAUSE, again)
        assert in_force(pauses) == [again]

    def test_what_is_not_paused_can_be_resumed(self, pauses: Pauses) -> None:
        remove(pauses, PauseScope.FLEET, "")
        put(pauses, PAUSE)
        remove(pauses, PAUSE.scope, PAUSE.name)
        remove(pauses, PAUSE.scope, PAUSE.name)
        assert in_force(pauses) == []

    def test_a_stopped_run_is_kept_among_them_until_it_may_be_forgotten(self, pauses: Pauses) -> None:
        mark = stop_mark("wfl_1", "broadcaster:1", 1_700_000_000_000)
        put(pauses, PAUSE, mark)
        assert in_force(pauses) == [PAUSE, mark]
        assert stopped_runs(in_force(pauses)) == {"wfl_1"}

    def test_many_pauses_are_all_read(self, pauses: Pauses) -> None:
        names = [f"agent.{number:03d}" for number in range(40)]
        put(pauses, *(Pause(PauseScope.AGENT, name, "x" * 256, "key:k1", 1) for name in names))
        assert [pause.name for pause in in_force(pauses)] == names
