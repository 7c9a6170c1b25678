"""What is fixed of the functions that neither answer clients nor run agents, and what they take of the account."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.settings_model import VISIBILITY_FACTOR, Fleet

TRIAGE_CONCURRENCY = 2
"""Invocations of the triage function at once, of each dead letter queue: the least that a mapping can have."""


@dataclass(frozen=True)
class Batches:
    """How a function is fed from a queue.

    Attributes:
        timeout_seconds: Longest invocation.
        batch_size: Most messages of one.
    """

    timeout_seconds: int
    batch_size: int = 10

    @property
    def visibility_timeout_seconds(self) -> int:
        """Of the queues that feed it."""
        return VISIBILITY_FACTOR * self.timeout_seconds


@dataclass(frozen=True)
class StreamBatches:
    """How a function is fed from the event log's stream.

    Attributes:
        timeout_seconds: Longest invocation.
        batch_size: Most records of one.
        window_seconds: How long records are gathered for one; 0 hands them out at once.
        parallelization: Batches of a shard at once; the records of one task stay in order.
        longest_trouble_seconds: How old a record may become while it fails. Meanwhile it holds up those behind it; what
            is older is given up and told to a queue. An outage of this length loses nothing.
    """

    timeout_seconds: int
    batch_size: int
    window_seconds: int = 1
    parallelization: int = 2
    longest_trouble_seconds: int = 3600


# As long as a call to a queue that does not answer is tried, and a little longer, to hold what could not be passed on.
# What it dies over is handed out again after six times as long: late, and only then.
RELAY = Batches(timeout_seconds=30)
TRIAGE = Batches(timeout_seconds=60)
WEBHOOK = Batches(timeout_seconds=60)
# A quick task is over when its first record is handed out, and is written once.
PROJECTOR = StreamBatches(timeout_seconds=120, batch_size=500, window_seconds=2)
BROADCASTER = StreamBatches(timeout_seconds=120, batch_size=100)


ARCHIVED = "archive/"
SUMMED_UP = "usage/"
"""What the names of objects in the archive's bucket begin with: finished logs, and what those of an hour came to."""


def reserved_concurrency(fleet: Fleet) -> dict[str, int]:
    """What each of these functions has reserved, by its package.

    As much as the mappings that feed it may ask for together: a throttled receive would use up a message's receives.
    What runs on a schedule runs once at a time. What follows the stream is bounded by its shards, and a throttled
    read costs nothing.
    """
    return {
        "relay": len(fleet.delays.tiers_seconds) * fleet.delays.maximum_concurrency,
        # The dead letter queues of all lanes, and that of the delay ladder.
        "triage": (len(fleet.lanes) + 1) * TRIAGE_CONCURRENCY,
        "webhook": fleet.webhooks.maximum_concurrency,
        "reconciler": 1,
        "scaler": 1,
        "keeper": 1,
        "canary": 1,
        "rollup": 1,
    }
