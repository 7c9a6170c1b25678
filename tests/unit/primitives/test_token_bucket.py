"""The bucket's bound holds whatever clocks within the declared skew say and however draws interleave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.primitives.token_bucket import (
    TOKEN_MILLI,
    Add,
    Bucket,
    Draw,
    Limit,
    Make,
    Rebase,
    Refuse,
    Shift,
    Spill,
    Wish,
    after,
    credited_milli,
    done,
    level_milli,
    matures_after_ms,
    ms_to_credit,
    plan,
    reckoned_ms,
)

NOW_MS = 1_700_000_000_000
LIMIT = Limit(rate_per_minute=600, burst=10)
SKEW_MS = 5000


def wish(tokens: int, *, lease: int | None = None, within_ms: int = 0, ahead_ms: int = 0) -> Wish:
    return Wish(tokens * TOKEN_MILLI, (lease or tokens) * TOKEN_MILLI, within_ms, ahead_ms)


def made(tokens: int = 1, limit: Limit = LIMIT) -> Bucket:
    """A bucket whose time has begun, less what was drawn."""
    draw = plan(None, limit, wish(tokens), NOW_MS, skew_ms=0)
    assert isinstance(draw, Make)
    return draw.bucket


def test_a_new_bucket_is_full_and_credited_nothing_until_no_clock_can_gain_on_it() -> None:
    draw = plan(None, LIMIT, wish(4), NOW_MS, skew_ms=SKEW_MS)
    assert isinstance(draw, Make)
    bucket = draw.bucket
    for after_ms in (-SKEW_MS, 0, SKEW_MS):
        assert level_milli(bucket, LIMIT, NOW_MS + after_ms) == 6 * TOKEN_MILLI
    assert level_milli(bucket, LIMIT, NOW_MS + SKEW_MS + 200) == 8 * TOKEN_MILLI
    assert level_milli(bucket, LIMIT, NOW_MS + 10**6) == 10 * TOKEN_MILLI


def test_what_there_is_too_little_of_is_refused_until_it_is_there() -> None:
    bucket = made(10)
    refused = plan(bucket, LIMIT, wish(3), NOW_MS)
    assert refused == Refuse(300)
    assert isinstance(plan(bucket, LIMIT, wish(3), NOW_MS + 299), Refuse)
    assert isinstance(plan(bucket, LIMIT, wish(3), NOW_MS + 300), Add)


def test_who_waits_gets_the_place_behind_those_who_came_before() -> None:
    bucket = made(10)
    waits = []
    for _ in range(3):
        draw = plan(bucket, LIMIT, wish(2, within_ms=600), NOW_MS)
        assert isinstance(draw, Add)
        assert done(draw, bucket)
        bucket = after(draw, bucket)
        waits.append(matures_after_ms(bucket, NOW_MS))
    assert waits == [200, 400, 600]
    assert plan(bucket, LIMIT, wish(2, within_ms=600), NOW_MS) == Refuse(200)


def test_a_lease_is_drawn_where_there_is_room_for_it_and_else_the_need() -> None:
    assert plan(made(1), LIMIT, wish(1, lease=9), NOW_MS) == Add(
        600, 9000, credited_milli(600, NOW_MS) - 10_000, credited_milli(600, NOW_MS) - 9000, NOW_MS
    )
    draw = plan(made(5), LIMIT, wish(1, lease=9), NOW_MS)
    assert isinstance(draw, Add)
    assert draw.amount_milli == TOKEN_MILLI
    draw = plan(made(5), LIMIT, wish(1, lease=9, ahead_ms=400), NOW_MS)
    assert isinstance(draw, Add)
    assert draw.amount_milli == 9 * TOKEN_MILLI


def test_what_ran_over_is_lost() -> None:
    draw = plan(made(1), LIMIT, wish(1), NOW_MS + 60_000)
    assert isinstance(draw, Spill)
    assert level_milli(after(draw, made(1)), LIMIT, NOW_MS + 60_000) == 9 * TOKEN_MILLI


def test_where_others_draw_a_nearly_full_bucket_counts_as_full() -> None:
    """What they just drew does not make the draw fail, and costs at most a quarter of the burst."""
    at_ms = NOW_MS + 60_000
    draw = plan(made(1), LIMIT, wish(1), at_ms, others=50)
    assert isinstance(draw, Spill)
    other = replace(made(1), drawn_milli=credited_milli(600, at_ms) - 10_000 + 2000)
    assert done(draw, other)
    assert level_milli(after(draw, other), LIMIT, at_ms) == 6500
    assert not done(plan_alone(at_ms), other)


def plan_alone(at_ms: int) -> Draw:
    draw = plan(made(1), LIMIT, wish(1), at_ms)
    assert not isinstance(draw, Refuse)
    return draw


def test_a_rate_that_changes_leaves_what_is_in_the_bucket() -> None:
    slower = Limit(60, 5)
    draw = plan(made(2), slower, wish(1), NOW_MS)
    assert isinstance(draw, Rebase)
    assert done(draw, made(2))
    assert level_milli(draw.bucket, slower, NOW_MS) == 4 * TOKEN_MILLI, "no more than its burst, less the draw"
    assert level_milli(draw.bucket, slower, NOW_MS + 500) == 4500
    debt = after(Shift(12_000, None, NOW_MS), made(2))
    assert plan(debt, slower, wish(1), NOW_MS) == Refuse(5000)


def test_more_than_the_burst_is_never_there() -> None:
    with pytest.raises(ValueError, match="ever holds"):
        plan(None, LIMIT, wish(11), NOW_MS)
    with pytest.raises(ValueError, match="at least 1"):
        Limit(0, 1)


def test_who_saw_a_faster_clock_goes_by_it() -> None:
    assert reckoned_ms(100, None, 7) == 100
    assert reckoned_ms(100, 150, 7) == 157
    assert reckoned_ms(200, 150, 7) == 200


@given(rate=st.integers(1, 10**7), amount=st.integers(1, 10**9))
def test_what_it_takes_to_credit_an_amount_is_exact(rate: int, amount: int) -> None:
    ms = ms_to_credit(rate, amount)
    assert credited_milli(rate, ms) >= amount
    assert credited_milli(rate, ms - 1) < amount


@dataclass
class Drawer:
    """One process: what it last saw, and when by true time."""

    known: Bucket | None = None
    pace: tuple[int, int] | None = None


@dataclass(frozen=True)
class Step:
    """What one process does next.

    Attributes:
        passes_ms: True time that passes before.
        who: Of the processes.
        off_ms: What its clock is off by at this moment.
        times: How often it draws, or until it is refused.
        then: What becomes of what it draws.
        others: What it guesses of the others.
    """

    passes_ms: int
    who: int
    off_ms: int
    times: int
    need: int
    lease: int
    within_ms: int
    then: str
    others: int


STEPS = st.builds(
    Step,
    passes_ms=st.sampled_from([0, 1, 100, 1000, 10_000, 200_000]),
    who=st.integers(0, 3),
    off_ms=st.sampled_from([-SKEW_MS, SKEW_MS]) | st.integers(-SKEW_MS, SKEW_MS),
    times=st.sampled_from([1, 100]),
    need=st.integers(1, 3),
    lease=st.sampled_from([1, 12]),
    within_ms=st.sampled_from([0, 0, 4000]),
    then=st.sampled_from(["use", "use", "use", "give_back", "charge", "lose_the_answer"]),
    others=st.sampled_from([0, 100, 900]),
)


class Fleet:
    """Four processes and their bucket; what a process holds it uses as soon as it may."""

    def __init__(self, limit: Limit, skew_ms: int) -> None:
        self.limit = limit
        self.skew_ms = skew_ms
        self.stored: Bucket | None = None
        self.drawers = [Drawer() for _ in range(4)]
        self.true_ms = self.made_ms = NOW_MS
        self.used: list[tuple[int, int]] = []  # true time, thousandths

    def do(self, step: Step) -> None:
        self.true_ms += step.passes_ms
        for _ in range(step.times):
            if not self.draw(step):
                return

    def draw(self, step: Step) -> bool:
        drawer = self.drawers[step.who]
        for tried in count():
            clock_ms, at_ms = drawer.pace or (None, 0)
            now_ms = reckoned_ms(self.true_ms + step.off_ms * self.skew_ms // SKEW_MS, clock_ms, self.true_ms - at_ms)
            assert now_ms <= self.true_ms + self.skew_ms, "nobody is led further astray than the clocks are"
            lease = max(step.need, step.lease) * TOKEN_MILLI
            wanted = Wish(step.need * TOKEN_MILLI, lease, step.within_ms, step.within_ms)
            draw = plan(
                drawer.known, self.limit, wanted, now_ms, skew_ms=self.skew_ms, others=step.others, just_seen=tried > 0
            )
            if isinstance(draw, Refuse):
                return False
            before, was_done = self.stored, done(draw, self.stored)
            if was_done:
                self.made_ms = self.true_ms if before is None else self.made_ms
                self.stored = after(draw, before)
            if before is not None:
                drawer.pace = max(now_ms, before.clock_ms), self.true_ms
            drawer.known = after(draw, before) if was_done else before
            if was_done:
                self.use(draw, drawer, now_ms, step.then)
                return True
        raise AssertionError

    def use(self, draw: Draw, drawer: Drawer, now_ms: int, then: str) -> None:
        assert self.stored is not None
        wait_ms = matures_after_ms(self.stored, now_ms)
        if then == "give_back":
            self.stored = drawer.known = after(Shift(-draw.amount_milli, self.stored, now_ms), self.stored)
        elif then != "lose_the_answer":
            self.used.append((self.true_ms + wait_ms, draw.amount_milli))
        if then == "charge":
            self.stored = drawer.known = after(Shift(700, None, now_ms), self.stored)


@settings(max_examples=300)
@given(
    steps=st.lists(STEPS, max_size=25),
    rate=st.sampled_from([60, 600, 997, 6000]),
    burst=st.sampled_from([5, 12, 30]),
    skew_ms=st.sampled_from([0, SKEW_MS]),
    gives_back=st.booleans(),
)
def test_never_more_than_burst_and_rate_allow_whatever_the_clocks_say(
    steps: list[Step], rate: int, burst: int, skew_ms: int, gives_back: bool
) -> None:
    """Clocks jump about within the declared skew at every look."""
    fleet = Fleet(Limit(rate, burst), skew_ms)
    for step in steps:
        fleet.do(step if gives_back or step.then != "give_back" else replace(step, then="use"))
    used = sorted(fleet.used)
    total = 0
    for at_ms, amount in used:
        total += amount
        assert total <= burst * TOKEN_MILLI + credited_milli(rate, at_ms - fleet.made_ms + skew_ms) + 1
    # What is given back, or waits for the rest of its draw, was drawn before it is used.
    if gives_back:
        return
    held_ms = max((step.within_ms for step in steps), default=0)
    for first, (from_ms, _) in enumerate(used):
        within = 0
        for at_ms, amount in used[first:]:
            within += amount
            allowed = credited_milli(rate, at_ms - from_ms + 2 * skew_ms + held_ms)
            assert within <= burst * TOKEN_MILLI + allowed + 1


@pytest.mark.parametrize("others", [0, 100, 900])
def test_a_bucket_that_ran_over_gives_no_more_than_its_burst_whatever_is_guessed(others: int) -> None:
    fleet = Fleet(Limit(600, 12), 0)
    draws = Step(0, 0, 0, times=1, need=1, lease=1, within_ms=0, then="use", others=others)
    fleet.do(draws)
    for idle_ms in (1700, 5000):
        fleet.true_ms += idle_ms
        before = len(fleet.used)
        for who in (1, 0, 2):
            fleet.do(replace(draws, who=who, times=4))
        fleet.do(replace(draws, who=3, times=100))
        assert 12 - 12 // 4 <= len(fleet.used) - before <= 12
