"""A budget's rules as a state machine: callers that crash, repeat themselves and lose answers never exceed a cap."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flotilla.primitives.budget import (
    WRITE_OFF_MS,
    Account,
    Change,
    Hold,
    Level,
    Reserve,
    Reserved,
    Settled,
    Spent,
    after,
    done,
    level,
    plan_reserve,
    plan_settle,
)

NOW_MS = 1_700_000_000_000
SKEW_MS = 1000
CAP = 1000


def test_four_fifths_of_a_cap_are_ok_and_the_rest_is_frugal() -> None:
    assert level(Account(used=799), 1000) is Level.OK
    assert level(Account(used=800), 1000) is Level.FRUGAL
    assert level(Account(used=10**12), None) is Level.OK


def test_what_is_only_reserved_may_be_free_again_and_what_is_spent_or_left_behind_may_not() -> None:
    account = Account(spent=500, used=900, holds={"a": Hold(400, NOW_MS)})
    wanted = Hold(200, NOW_MS + 60_000)
    assert plan_reserve(account, 1000, "b", wanted, NOW_MS, skew_ms=50) == Spent(NOW_MS + 100)
    assert plan_reserve(account, 600, "b", wanted, NOW_MS, skew_ms=50) == Spent(None)
    assert plan_reserve(account, 1000, "b", wanted, NOW_MS + 100, skew_ms=50) == Spent(None)
    assert plan_reserve(account, 1100, "b", wanted, NOW_MS + 100, skew_ms=50) == Reserve("b", wanted, 900)


def test_what_was_left_behind_long_ago_is_written_off_the_oldest_first_and_not_all_at_once() -> None:
    gone = {f"r{number}": Hold(10, NOW_MS - WRITE_OFF_MS - number) for number in range(30)}
    account = Account(0, 305, gone | {"late": Hold(5, NOW_MS)})
    planned = plan_reserve(account, 1000, "b", Hold(1, NOW_MS), NOW_MS, skew_ms=0)
    assert isinstance(planned, Reserve)
    assert list(planned.written_off) == [f"r{number}" for number in range(29, 9, -1)]
    left = after(planned, account)
    assert (left.spent, left.used, len(left.holds)) == (200, 306, 12)


@dataclass
class Call:
    """One caller's call, and what it knows."""

    id: str
    hold: Hold
    known: Account
    reserved: bool = False
    cost: int | None = None


class BudgetMachine(RuleBasedStateMachine):
    """Calls under one cap, on one stored account."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account()
        self.now_ms = NOW_MS
        self.calls: list[Call] = []
        self.costs: dict[str, int] = {}
        self.lost = 0
        self.over = 0

    def write(self, call: Call, change: Change, *, answered: bool) -> None:
        before = self.account
        was_done = done(change, before)
        if was_done:
            self.account = after(change, before)
            if isinstance(change, Reserve):
                self.lost += sum(held.amount for held in change.written_off.values())
        if answered:
            call.known = self.account if was_done else before

    @rule(amount=st.integers(1, 400), lease_ms=st.integers(0, 60_000), stale=st.booleans())
    def begin(self, amount: int, lease_ms: int, stale: bool) -> None:
        known = Account() if stale else self.account
        self.calls.append(Call(f"r{len(self.calls)}", Hold(amount, self.now_ms + lease_ms), known))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), off=st.integers(-SKEW_MS, SKEW_MS), answered=st.booleans())
    def reserve(self, data: st.DataObject, off: int, answered: bool) -> None:
        call = data.draw(st.sampled_from(self.calls))
        if call.cost is not None or (call.reserved and call.hold.until_ms < self.now_ms):
            return
        planned = plan_reserve(call.known, CAP, call.id, call.hold, self.now_ms + off, skew_ms=SKEW_MS)
        if isinstance(planned, Reserved):
            call.reserved = True
        elif isinstance(planned, Reserve):
            self.write(call, planned, answered=answered)
        else:
            call.known = self.account

    @precondition(lambda self: any(call.reserved for call in self.calls))
    @rule(data=st.data(), beyond=st.sampled_from([0, 0, 0, 7]), part=st.floats(0, 1))
    def call(self, data: st.DataObject, beyond: int, part: float) -> None:
        call = data.draw(st.sampled_from([call for call in self.calls if call.reserved]))
        if call.cost is None and call.hold.until_ms >= self.now_ms:
            call.cost = int(call.hold.amount * part) + beyond
            self.over += max(0, call.cost - call.hold.amount)

    @precondition(lambda self: any(call.cost is not None for call in self.calls))
    @rule(data=st.data(), answered=st.booleans())
    def settle(self, data: st.DataObject, answered: bool) -> None:
        call = data.draw(st.sampled_from([call for call in self.calls if call.cost is not None]))
        assert call.cost is not None
        planned = plan_settle(call.known, call.id, call.cost)
        if isinstance(planned, Settled):
            return
        held = self.account.holds.get(call.id)
        self.write(call, planned, answered=answered)
        if held is not None and call.id not in self.account.holds:
            assert call.id not in self.costs, "what a call cost is counted once"
            self.costs[call.id] = call.cost

    @rule(ms=st.one_of(st.integers(0, 90_000), st.just(WRITE_OFF_MS)))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @invariant()
    def what_is_used_is_what_was_spent_and_is_reserved(self) -> None:
        assert self.account.spent == sum(self.costs.values()) + self.lost
        assert self.account.used == self.account.spent + sum(hold.amount for hold in self.account.holds.values())

    @invariant()
    def no_more_is_used_than_the_cap_and_what_calls_cost_beyond_their_reservations(self) -> None:
        assert self.account.used <= CAP + self.over

    @invariant()
    def all_that_calls_really_cost_is_within_the_cap_too_whoever_never_said_so(self) -> None:
        assert sum(call.cost or 0 for call in self.calls) <= CAP + self.over


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
