"""The contract of `SlotStore`."""

from __future__ import annotations

import asyncio

from flotilla.limit_ports import SlotStore
from flotilla.primitives.slots import Claim, Slot

NOW_MS = 1_700_000_000_000
EXPIRES_AT = 4_000_000_000


def claim(
    slots: SlotStore, index: int, holder: str, *, until_ms: int = NOW_MS + 1000, free_by_ms: int = NOW_MS
) -> Slot | None:
    wanted = Claim(Slot(index, holder, until_ms), free_by_ms)
    return asyncio.run(slots.claim("crm", wanted, EXPIRES_AT))


def held(slots: SlotStore, name: str = "crm") -> list[Slot]:
    return sorted(asyncio.run(slots.read(name)), key=lambda slot: slot.index)


class SlotsContract:
    """Provide a fixture `slots`: a store in which no slot was ever claimed."""

    def test_a_free_slot_is_the_first_claimants_and_the_others_are_told(self, slots: SlotStore) -> None:
        assert held(slots) == []
        assert claim(slots, 0, "a") is None
        assert claim(slots, 0, "b") == Slot(0, "a", NOW_MS + 1000)
        assert claim(slots, 10, "b") is None
        assert held(slots) == [Slot(0, "a", NOW_MS + 1000), Slot(10, "b", NOW_MS + 1000)]
        assert held(slots, "other") == []

    def test_its_holder_may_claim_it_again(self, slots: SlotStore) -> None:
        claim(slots, 3, "a")
        assert claim(slots, 3, "a", until_ms=NOW_MS + 5000) is None
        assert held(slots) == [Slot(3, "a", NOW_MS + 5000)]

    def test_a_lease_that_ended_is_followed_by_another(self, slots: SlotStore) -> None:
        claim(slots, 0, "a", until_ms=NOW_MS)
        assert claim(slots, 0, "b", free_by_ms=NOW_MS - 1) == Slot(0, "a", NOW_MS)
        assert claim(slots, 0, "b", free_by_ms=NOW_MS) is None

    def test_only_its_holder_gives_a_slot_up(self, slots: SlotStore) -> None:
        claim(slots, 0, "a")
        asyncio.run(slots.give_up("crm", 0, "b"))
        assert [slot.holder for slot in held(slots)] == ["a"]
        for _ in range(2):
            asyncio.run(slots.give_up("crm", 0, "a"))
        assert held(slots) == []

    def test_of_many_who_claim_at_once_one_gets_it(self, slots: SlotStore) -> None:
        async def all_at_once() -> list[Slot | None]:
            claims = (
                slots.claim("crm", Claim(Slot(0, f"h{number}", NOW_MS + 1000), NOW_MS), EXPIRES_AT)
                for number in range(12)
            )
            return list(await asyncio.gather(*claims))

        answers = asyncio.run(all_at_once())
        assert answers.count(None) == 1
        assert len({answer for answer in answers if answer is not None}) == 1
