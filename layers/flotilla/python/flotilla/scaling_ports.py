"""What the scaler reads and changes: backlogs, lanes' capacity as AWS has it, and its own memory.

AWS is the truth of what a lane has: it is read before every decision, so that what somebody else changed is where the
next decision starts. The memory holds what AWS does not tell, and keeps two runs from changing things at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages of one lane's queue, as it estimates them.

    Attributes:
        waiting: Could be handed out now.
        in_flight: Handed out, or hidden until a retry.
    """

    waiting: int
    in_flight: int

    @property
    def nothing(self) -> bool:
        """Whether the lane is idle."""
        return self.waiting == self.in_flight == 0


class LaneBacklogs(Protocol):
    """How many messages lie on the lanes."""

    async def backlog(self, lane: str) -> Backlog:
        """A lane's messages, about.

        Raises:
            RetryableError: The queue did not answer.
        """
        ...


class MappingState(StrEnum):
    """Whether a lane's event source mapping hands out work."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    CHANGING = "changing"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What AWS lets a lane have at this moment.

    Attributes:
        concurrency: The maximum concurrency of its event source mapping; None where it has none.
        reserved: The reserved concurrency of its function; None where nothing is reserved, 0 where it is stopped.
        mapping: While it is changing it takes no other change.
    """

    concurrency: int | None
    reserved: int | None
    mapping: MappingState = MappingState.ENABLED


class LaneCapacity(Protocol):
    """What lanes may have at once."""

    async def read(self, lane: str) -> Capacity:
        """What a lane has.

        Raises:
            RetryableError: AWS did not answer.
        """
        ...

    async def limit(self, lane: str, concurrency: int) -> bool:
        """Set the maximum concurrency of the lane's mapping. It takes effect within a minute or so.

        Returns:
            False where the mapping is being changed, so that nothing was done.

        Raises:
            RetryableError: AWS did not answer. It may be set or not.
        """
        ...

    async def reserve(self, lane: str, reserved: int) -> bool:
        """Set the reserved concurrency of the lane's function.

        Returns:
            False where the account's limit does not allow it, so that nothing was done.

        Raises:
            RetryableError: AWS did not answer. It may be set or not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a run left a lane with.

    Attributes:
        concurrency: Its maximum concurrency then.
        reserved: Its reserved concurrency then.
        raised_ms: When its concurrency was last raised; 0 for never.
        lowered_ms: When it was last lowered; 0 for never.
        wanted: See `LaneScale`.
        calm_ms: Likewise.
    """

    concurrency: int
    reserved: int
    raised_ms: int = 0
    lowered_ms: int = 0
    wanted: int = 0
    calm_ms: int = 0


@dataclass(frozen=True, slots=True)
class ScalingMemory:
    """What runs tell those after them.

    Attributes:
        version: Of this memory; 0 where there is none yet.
        lanes: By name.
        by: The run that stored it.
        busy_until_ms: A run is changing things, and is over by then; 0 where none is.
    """

    version: int = 0
    lanes: Mapping[str, Remembered] = field(default_factory=dict)
    by: str = ""
    busy_until_ms: int = 0


class ScalingMemories(Protocol):
    """Keeps the memory."""

    async def read(self) -> ScalingMemory:
        """The memory, strongly consistent.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def follow(self, memory: ScalingMemory) -> bool:
        """Store a memory in the place of the one of the version before.

        Returns:
            False where that one has been followed by another.

        Raises:
            RetryableError: The store did not answer. It may be stored or not.
        """
        ...
