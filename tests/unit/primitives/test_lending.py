"""Whose capacity is in whose hands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.lending import Loan, loans

SHARES = {"a": 20, "b": 40, "c": 40}


def test_lanes_that_have_their_own_lend_and_borrow_nothing() -> None:
    assert loans(100, SHARES, SHARES) == dict.fromkeys(SHARES, Loan())


def test_what_nobody_works_with_is_not_lent() -> None:
    assert loans(100, SHARES, {"a": 2, "b": 40, "c": 2}) == dict.fromkeys(SHARES, Loan())


def test_what_is_nobodys_share_is_lent_first() -> None:
    assert loans(110, SHARES, {"a": 2, "b": 50, "c": 2})["b"] == Loan(borrowed=10)
    assert loans(110, SHARES, {"a": 2, "b": 50, "c": 2})["c"].lent == 0
    assert loans(110, SHARES, {"a": 2, "b": 60, "c": 2})["c"] == Loan(lent=10)


@given(st.fixed_dictionaries({name: st.integers(0, 100) for name in SHARES}), st.integers(100, 200))
def test_what_is_borrowed_is_lent_by_somebody_or_nobodys(reserved: dict[str, int], pool: int) -> None:
    found = loans(pool, SHARES, reserved)
    borrowed, lent = (sum(getattr(loan, name) for loan in found.values()) for name in ("borrowed", "lent"))
    assert lent <= max(0, borrowed - (pool - sum(SHARES.values())))
    if sum(reserved.values()) <= pool:
        assert lent == max(0, borrowed - (pool - sum(SHARES.values())))
    for name, loan in found.items():
        assert 0 <= loan.lent <= max(0, SHARES[name] - reserved[name])
        assert loan.lent == 0 or loan.borrowed == 0
