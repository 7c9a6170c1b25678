"""Limits as a submit's answer tells of them: the fields `RateLimit-Policy`, `RateLimit` and `Retry-After`, and the 429.

The fields are those of draft-ietf-httpapi-ratelimit-headers-10: lists of strings with parameters (RFC 9651). What is
left of an agent's limit is the doing of other tenants, so it is told only to who is refused by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flotilla.services.submit_limits import LimitInForce, Refused
from functions.api.problems import RefusalError, refusal

_WINDOW_SECONDS = 60
"""Rates are per minute. It is also the longest time to a reset that is told: a bucket is credited all the time."""

_WHOSE = {
    "client": "This API key has used up its limit.",
    "tenant": "The tenant has used up its limit.",
    "agent": "The agent takes no more tasks for now.",
}


def rate_limit_fields(limits: Sequence[LimitInForce], refused: Refused | None = None) -> dict[str, str]:
    """The fields for limits that a submit came under; none where it came under none.

    Args:
        limits: How they stand after it.
        refused: By which of them it was refused, if it was.
    """
    told = [limit for limit in limits if limit.kind != "agent" or (refused is not None and refused.kind == "agent")]
    if not told:
        return {}
    policies = [f'"{each.kind}";q={each.limit.rate_per_minute};w={_WINDOW_SECONDS}' for each in told]
    return {
        "ratelimit-policy": ", ".join(policies),
        "ratelimit": ", ".join(
            f'"{each.kind}";r={left};t={reset}' for each in told for left, reset in [_left(each, refused)]
        ),
    }


def refused_by_limit(limits: Sequence[LimitInForce], refused: Refused) -> RefusalError:
    """The error that answers 429."""
    return refusal(
        "rate-limited",
        f"{_WHOSE[refused.kind]} Nothing was accepted. Repeat the request after as long as Retry-After says.",
        headers={"retry-after": str(_seconds(refused)), **rate_limit_fields(limits, refused)},
    )


def _left(limit: LimitInForce, refused: Refused | None) -> tuple[int, int]:
    """What is left, and in how many seconds there is more of it."""
    if refused is not None and refused.kind == limit.kind:
        return 0, _seconds(refused)
    if limit.remaining == 0:
        return 0, max(1, limit.more_seconds)
    return limit.remaining, min(limit.reset_seconds, _WINDOW_SECONDS)


def _seconds(refused: Refused) -> int:
    return max(1, math.ceil(refused.retry_after_seconds))
