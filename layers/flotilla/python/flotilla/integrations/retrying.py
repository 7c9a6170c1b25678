"""When a call is made again: full jitter, within the attempts allowed and the time that is left."""

from __future__ import annotations

import math

from flotilla.integrations.declaration import RetryPolicy
from flotilla.primitives.backoff import full_jitter_seconds


def wait_ms(
    policy: RetryPolicy, tries: int, *, left_ms: int, fraction: float, retry_after_ms: int | None = None
) -> int | None:
    """Milliseconds until the next try; None where there is none any more.

    A wait that would end with the budget or after it is not begun: nothing could be done then.

    Args:
        policy: The integration's.
        tries: Made so far, at least 1.
        left_ms: Of the call's budget.
        fraction: Uniform random number in [0, 1), drawn by the caller.
        retry_after_ms: What the other side asked for.
    """
    if tries >= policy.attempts:
        return None
    seconds = full_jitter_seconds(
        tries,
        base_seconds=policy.base_ms / 1000,
        cap_seconds=policy.cap_ms / 1000,
        fraction=fraction,
        at_least_seconds=None if retry_after_ms is None else retry_after_ms / 1000,
    )
    wait = math.ceil(seconds * 1000)
    return wait if wait < left_ms else None
