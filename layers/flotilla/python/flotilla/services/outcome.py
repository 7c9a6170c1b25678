"""What is to become of a message once a worker has done with it what it could."""

from __future__ import annotations

import math
from dataclasses import dataclass

LONGEST_HOLD_SECONDS = 42_000
"""What a message is hidden for at the most: SQS counts its 12 hours from the receipt, which is an invocation ago."""

LONGEST_SESSION_HOLD_SECONDS = 900
"""The same in a session. Everything behind the message waits with it, so what becomes of its task meanwhile (it
may be cancelled) is looked at now and then."""


@dataclass(frozen=True, slots=True)
class Done:
    """The message has served its purpose.

    Attributes:
        hold_group_seconds: What comes after it in its group must wait so long, because code of this
            attempt is still running on a thread.
    """

    hold_group_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """The message must come back, after at least this many whole seconds, or to be looked at and hidden again."""

    after_seconds: int


@dataclass(frozen=True, slots=True)
class RunAlone:
    """To be tried again in this invocation, when nothing else runs."""


Outcome = Done | Again | RunAlone


def after_a_fault(receive_count: int, at_least_seconds: int) -> Again:
    """Keep the message until what failed may work again: a second for each time that it was handed out already.

    Soon at first; and an outage of a day does not use up the message's receives, after which the queue would put it
    among the dead letters, and let what is behind it in its session overtake it.
    """
    return Again(min(max(at_least_seconds, receive_count), LONGEST_SESSION_HOLD_SECONDS))


def again_in_place(wait_seconds: float, session: str | None) -> Again:
    """Keep the message on its lane for a wait, or as much of it as one hold may take.

    Rounded up, so that nothing comes early.
    """
    longest = LONGEST_HOLD_SECONDS if session is None else LONGEST_SESSION_HOLD_SECONDS
    return Again(min(max(0, math.ceil(wait_seconds)), longest))
