"""A token bucket kept as one number that only grows: how much has ever been drawn.

Time is counted in tokens. By `at_ms` a bucket has been credited `rate * at_ms`, since 1970; what is in it is what it
has been credited less what was drawn, and never more than the burst: what runs over counts as drawn. So a draw is an
addition, and two of them need not know of each other.

    drawn ──────────────┬─── in the bucket, at most the burst ───┬── not yet ──▶
                        │                                        │
                     `drawn`                                credited by now
                        └── a draw of n ──▶ matures when credited

A draw may reach into what is not yet there: it then has a place in the queue, and matures when it is credited.

Invariants: every draw of n moves `drawn` on by at least n, and no token is used before it is credited by the drawer's
reckoning, which is never more than `skew` ahead of true time. Hence, whatever clocks right to within `skew` say:

    tokens used within t of the bucket's making <= burst + rate * (t + skew)
    tokens used within any t                    <= burst + rate * (t + 2 skew + how long drawn tokens are kept)

All amounts are whole thousandths of a token. Source: the virtual scheduling form of the generic cell rate algorithm,
ITU-T I.371, counted in tokens instead of in time so that a rate may change.
"""

from __future__ import annotations

from dataclasses import dataclass

TOKEN_MILLI = 1000

SKEW_MS = 1000
"""How wrong any machine's clock is trusted to be at most, either way, where nothing else is declared."""

_MS_PER_MINUTE_PER_MILLI = 60
"""One token a minute is a thousandth of a token every 60 ms."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of something there may be.

    Attributes:
        rate_per_minute: Tokens credited each minute, at least 1.
        burst: Tokens that can be saved up, at least 1.
    """

    rate_per_minute: int
    burst: int

    def __post_init__(self) -> None:
        if self.rate_per_minute < 1 or self.burst < 1:
            raise ValueError("a limit's rate and burst are at least 1")

    @property
    def burst_milli(self) -> int:
        """The burst in thousandths of a token."""
        return self.burst * TOKEN_MILLI


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it is stored.

    Attributes:
        drawn_milli: What has been drawn, or ran over, since 1970 at this rate.
        rate_per_minute: The rate that `drawn_milli` is counted at.
        based_ms: When it was made or its rate last changed. Time in the bucket does not run back behind it.
        clock_ms: What the last who drew reckoned the time to be.
        writes: How often it was changed.
    """

    drawn_milli: int
    rate_per_minute: int
    based_ms: int
    clock_ms: int
    writes: int


@dataclass(frozen=True, slots=True)
class Make:
    """Where there is no bucket: store this one."""

    bucket: Bucket
    amount_milli: int


@dataclass(frozen=True, slots=True)
class Add:
    """Where the rate is this and what is drawn lies between the two: draw the amount."""

    rate_per_minute: int
    amount_milli: int
    at_least_milli: int
    at_most_milli: int
    clock_ms: int


@dataclass(frozen=True, slots=True)
class Spill:
    """Where the rate is this and less than `below_milli` is drawn, so that it ran over: draw up to `to_milli`."""

    rate_per_minute: int
    amount_milli: int
    below_milli: int
    to_milli: int
    clock_ms: int


@dataclass(frozen=True, slots=True)
class Rebase:
    """Where the bucket is exactly as seen: count it at another rate from now on, and draw."""

    seen: Bucket
    bucket: Bucket
    amount_milli: int


@dataclass(frozen=True, slots=True)
class Shift:
    """Give the amount back (negative), where the bucket is exactly as seen; or charge it (positive), in any case."""

    amount_milli: int
    seen: Bucket | None
    clock_ms: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not even try: there is too little before `retry_after_ms` have passed."""

    retry_after_ms: int


Draw = Make | Add | Spill | Rebase | Shift
"""What a store may be asked to do, at one conditional write."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a drawer would like.

    Attributes:
        need_milli: What it must have.
        lease_milli: What it would take, at least the need.
        within_ms: How far off the need's maturity may be.
        ahead_ms: How far off the whole lease's maturity may be.
    """

    need_milli: int
    lease_milli: int
    within_ms: int
    ahead_ms: int


def credited_milli(rate_per_minute: int, at_ms: int) -> int:
    """What a bucket of this rate has been credited by then."""
    return rate_per_minute * at_ms // _MS_PER_MINUTE_PER_MILLI


def ms_to_credit(rate_per_minute: int, amount_milli: int) -> int:
    """How long it takes to credit the amount, in whole milliseconds, rounded up; 0 for nothing."""
    return max(0, -(-amount_milli * _MS_PER_MINUTE_PER_MILLI // rate_per_minute))


def reckoned_ms(own_ms: int, seen_clock_ms: int | None, since_seen_ms: int) -> int:
    """What time it is for a bucket.

    The fastest clock that draws sets the pace; who saw its time goes by it from then on, so that a slow clock is at no
    disadvantage. It is never further ahead of true time than that fastest clock was.

    Args:
        own_ms: What this machine's clock says.
        seen_clock_ms: The latest time that was seen of the bucket, if any was.
        since_seen_ms: How long ago that was at least, by a clock that nobody sets (a monotonic one).
    """
    return own_ms if seen_clock_ms is None else max(own_ms, seen_clock_ms + since_seen_ms)


def level_milli(bucket: Bucket, limit: Limit, now_ms: int) -> int:
    """What is in the bucket; negative while there is debt, or a queue."""
    level = credited_milli(bucket.rate_per_minute, max(now_ms, bucket.based_ms)) - bucket.drawn_milli
    return min(limit.burst_milli, level)


def matures_after_ms(after: Bucket, now_ms: int) -> int:
    """How long after `now_ms` all that was drawn is credited."""
    lacking = after.drawn_milli - credited_milli(after.rate_per_minute, max(now_ms, after.based_ms))
    return ms_to_credit(after.rate_per_minute, lacking)


def plan(
    known: Bucket | None,
    limit: Limit,
    wish: Wish,
    now_ms: int,
    *,
    skew_ms: int = SKEW_MS,
    others: int = 0,
    just_seen: bool = True,
) -> Make | Add | Spill | Rebase | Refuse:
    """What to try, going by what was last seen of the bucket.

    Since then others can have drawn, and what they did is allowed for in what is tried. Where it goes wrong the answer
    says how the bucket is, and planning again with that is all there is to do.

    Args:
        known: The bucket when last seen; None where it was not there, or never seen.
        limit: What holds now.
        wish: What is wanted.
        now_ms: As `reckoned_ms` says.
        skew_ms: How wrong clocks may be, either way.
        others: What others draw, in thousandths of the rate. Only a guess, which can cost a write and no more.
        just_seen: Nobody is likely to have drawn since.

    Raises:
        ValueError: More is needed than the bucket ever holds.
    """
    rate, burst = limit.rate_per_minute, limit.burst_milli
    if wish.need_milli > burst:
        raise ValueError("more is needed than the bucket ever holds")
    if known is None:
        # The making lies as far in the future as this clock may be slow, so that nobody's clock can gain on it by more
        # than the declared skew. Until then the bucket is credited nothing; it begins full.
        based_ms = now_ms + skew_ms
        empty = credited_milli(rate, based_ms)
        amount = _amount(wish, burst, rate)
        return Make(Bucket(empty - burst + amount, rate, based_ms, now_ms, 1), amount)
    at_ms = max(now_ms, known.based_ms)
    credited = credited_milli(rate, at_ms)
    before = known.drawn_milli
    if known.rate_per_minute != rate:
        before += credited - credited_milli(known.rate_per_minute, at_ms)
    level = min(burst, credited - before)
    amount = _amount(wish, level, rate)
    if wish.need_milli > amount:
        return Refuse(max(1, ms_to_credit(rate, wish.need_milli - level) - wish.within_ms))
    if known.rate_per_minute != rate:
        return Rebase(known, Bucket(credited - level + amount, rate, at_ms, now_ms, known.writes + 1), amount)
    full = credited - burst
    # How much short of full counts as run over too, so that what others just drew does not make a spill go wrong. It
    # gives away a little of what is saved up and never gives out more.
    overlap = max(0, min(burst // 4, burst - amount)) if others > 0 else 0
    if before < full and (just_seen or _spills(others, overlap, amount)):
        return Spill(rate, amount, full + overlap, full + overlap + amount, now_ms)
    most = credited + min(
        _credit_within(rate, wish.within_ms) - wish.need_milli,
        _credit_within(rate, wish.ahead_ms) - amount
        if amount > wish.need_milli
        else _credit_within(rate, wish.within_ms),
    )
    return Add(rate, amount, full, most, now_ms)


def after(draw: Draw, before: Bucket | None) -> Bucket:
    """The bucket once the draw is done, given how it was."""
    if isinstance(draw, Make | Rebase):
        return draw.bucket
    if before is None:
        raise ValueError("only making a bucket needs none")
    drawn = draw.to_milli if isinstance(draw, Spill) else before.drawn_milli + draw.amount_milli
    return Bucket(drawn, before.rate_per_minute, before.based_ms, draw.clock_ms, before.writes + 1)


def done(draw: Draw, before: Bucket | None) -> bool:
    """Whether the draw's condition holds; what a store decides and writes in one go."""
    if isinstance(draw, Make):
        return before is None
    if before is None:
        return False
    if isinstance(draw, Rebase):
        return _same(before, draw.seen)
    if isinstance(draw, Shift):
        return draw.seen is None or _same(before, draw.seen)
    if before.rate_per_minute != draw.rate_per_minute:
        return False
    if isinstance(draw, Spill):
        return before.drawn_milli < draw.below_milli
    return draw.at_least_milli <= before.drawn_milli <= draw.at_most_milli


def _same(bucket: Bucket, seen: Bucket) -> bool:
    return (bucket.drawn_milli, bucket.writes) == (seen.drawn_milli, seen.writes)


def _credit_within(rate_per_minute: int, ms: int) -> int:
    return rate_per_minute * ms // _MS_PER_MINUTE_PER_MILLI


def _amount(wish: Wish, level: int, rate: int) -> int:
    """The whole lease where it is there in time, else the need where that is; else 0."""
    if wish.need_milli > level + _credit_within(rate, wish.within_ms):
        return 0
    return wish.lease_milli if wish.lease_milli <= level + _credit_within(rate, wish.ahead_ms) else wish.need_milli


def _spills(others: int, overlap: int, amount: int) -> bool:
    """Whether a bucket that would be full if nobody had drawn is likely to be.

    Of those who guess that it is, as many are wrong as find it in use: the part u that others use of the rate. Of those
    who guess that it is not, one is wrong for each time that it fills up after a spill, which is one in
    (overlap / amount) * u / (1 - u) draws.
    """
    return others * others * overlap < 1000 * (1000 - others) * amount
