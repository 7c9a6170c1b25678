"""The contract of `BudgetStore`."""

from __future__ import annotations

import asyncio

from flotilla.budget_ports import BudgetStore, Changed
from flotilla.primitives.budget import Account, Change, Hold, Reserve, Settle

UNTIL_MS = 1_700_000_060_000
EXPIRES_AT = 4_000_000_000


def change(budgets: BudgetStore, wanted: Change, scope: str = "task#tsk_1") -> Changed:
    return asyncio.run(budgets.change(scope, wanted, EXPIRES_AT))


def hold(amount: int) -> Hold:
    return Hold(amount, UNTIL_MS)


class BudgetsContract:
    """Provide a fixture `budgets`: a store without a budget."""

    def test_reservations_add_up_within_their_room(self, budgets: BudgetStore) -> None:
        assert change(budgets, Reserve("a", hold(60), 40)) == Changed(done=True, before=Account())
        refused = change(budgets, Reserve("b", hold(50), 50))
        assert refused == Changed(done=False, before=Account(0, 60, {"a": hold(60)}))
        assert change(budgets, Reserve("b", hold(40), 60)).done
        assert change(budgets, Reserve("c", hold(1000), None)).done, "where there is no cap"
        assert change(budgets, Reserve("d", hold(1), 0)).before.used == 1100

    def test_a_reservation_is_made_once(self, budgets: BudgetStore) -> None:
        change(budgets, Reserve("a", hold(60), 1000))
        again = change(budgets, Reserve("a", hold(60), 1000))
        assert again == Changed(done=False, before=Account(0, 60, {"a": hold(60)}))

    def test_what_a_call_cost_takes_the_place_of_what_was_reserved_once(self, budgets: BudgetStore) -> None:
        change(budgets, Reserve("a", hold(60), 1000))
        change(budgets, Reserve("b", hold(30), 1000))
        assert not change(budgets, Settle("a", hold(61), 45)).done, "it is not what was reserved"
        assert change(budgets, Settle("a", hold(60), 45)).done
        again = change(budgets, Settle("a", hold(60), 45))
        assert again == Changed(done=False, before=Account(45, 75, {"b": hold(30)}))

    def test_what_is_written_off_is_spent_once_and_cannot_be_settled_any_more(self, budgets: BudgetStore) -> None:
        change(budgets, Reserve("gone", hold(60), 100))
        change(budgets, Reserve("also", hold(5), 100))
        write_off = Reserve("a", hold(30), 70, {"gone": hold(60), "also": hold(5)})
        assert change(budgets, write_off).done
        assert not change(budgets, Reserve("b", hold(1), 1000, {"gone": hold(60)})).done, "it is not there any more"
        assert not change(budgets, Settle("gone", hold(60), 20)).done
        found = change(budgets, Settle("none", hold(1), 1)).before
        assert found == Account(65, 95, {"a": hold(30)})

    def test_what_was_settled_meanwhile_is_not_written_off(self, budgets: BudgetStore) -> None:
        change(budgets, Reserve("slow", hold(60), 100))
        change(budgets, Settle("slow", hold(60), 20))
        refused = change(budgets, Reserve("a", hold(30), 70, {"slow": hold(60)}))
        assert refused == Changed(done=False, before=Account(20, 20, {}))

    def test_scopes_are_kept_apart(self, budgets: BudgetStore) -> None:
        change(budgets, Reserve("a", hold(60), 1000))
        assert change(budgets, Reserve("a", hold(60), 1000), "tenant-day#acme#2026-11-21").before == Account()

    def test_of_many_who_reserve_at_once_as_many_get_it_as_there_is_room(self, budgets: BudgetStore) -> None:
        async def all_at_once() -> list[Changed]:
            asked = (
                budgets.change("task#tsk_1", Reserve(f"r{number}", hold(10), 40), EXPIRES_AT) for number in range(12)
            )
            return list(await asyncio.gather(*asked))

        assert sum(answer.done for answer in asyncio.run(all_at_once())) == 5
