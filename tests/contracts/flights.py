"""The contract of `Flights`."""

from __future__ import annotations

import asyncio

from flotilla.ports import Flights

KEY = "CACHE#" + "ab" * 32
EXPIRES_AT = 4_000_000_000


def lead(flights: Flights, task_id: str, *, instead_of: str | None = None, key: str = KEY) -> str:
    return asyncio.run(flights.lead(key, task_id, instead_of=instead_of, expires_at=EXPIRES_AT))


class FlightsContract:
    """Provide a fixture `flights`: a store in which nobody leads."""

    def test_who_asks_first_leads_and_the_others_are_told(self, flights: Flights) -> None:
        assert lead(flights, "tsk_a") == "tsk_a"
        assert lead(flights, "tsk_b") == "tsk_a"
        assert lead(flights, "tsk_c") == "tsk_a"

    def test_who_leads_may_ask_again(self, flights: Flights) -> None:
        """The answer to its first call may have been lost."""
        lead(flights, "tsk_a")
        assert lead(flights, "tsk_a") == "tsk_a"
        assert lead(flights, "tsk_a", instead_of="tsk_z") == "tsk_a"

    def test_keys_have_leaders_of_their_own(self, flights: Flights) -> None:
        other = "CACHE#" + "cd" * 32
        assert lead(flights, "tsk_a") == "tsk_a"
        assert lead(flights, "tsk_b", key=other) == "tsk_b"
        assert lead(flights, "tsk_a", key=other) == "tsk_b"

    def test_a_leader_that_failed_is_replaced_once(self, flights: Flights) -> None:
        lead(flights, "tsk_a")
        assert lead(flights, "tsk_b", instead_of="tsk_a") == "tsk_b"
        assert lead(flights, "tsk_c", instead_of="tsk_a") == "tsk_b", "the place was taken already"
        assert lead(flights, "tsk_a") == "tsk_b", "who was replaced no longer leads"

    def test_a_leader_that_is_gone_is_replaced_too(self, flights: Flights) -> None:
        assert lead(flights, "tsk_b", instead_of="tsk_a") == "tsk_b"

    def test_of_many_who_replace_at_once_one_wins_and_all_are_told_which(self, flights: Flights) -> None:
        lead(flights, "tsk_dead")

        async def all_at_once() -> list[str]:
            asking = (
                flights.lead(KEY, f"tsk_{number}", instead_of="tsk_dead", expires_at=EXPIRES_AT) for number in range(12)
            )
            return list(await asyncio.gather(*asking))

        (winner,) = set(asyncio.run(all_at_once()))
        assert winner != "tsk_dead"
