"""What limits need from the world, as `ports` says it for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flotilla.primitives.slots import Claim, Slot
from flotilla.primitives.token_bucket import Bucket, Draw, Limit


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of a draw.

    Attributes:
        done: It was done. Else its condition did not hold.
        before: The bucket as it was just before; None where there was none.
        surely: Where it was not done: it surely was not. A store that repeats calls on its own may have done it the
            first time and found it done the second.
    """

    done: bool
    before: Bucket | None
    surely: bool = True


class BucketStore(Protocol):
    """The buckets, one for each thing that is limited."""

    async def look(self, name: str) -> Drawn:
        """How a bucket is, possibly a moment ago; `before` says it, and nothing is done.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        """Do the draw if its condition holds, in one conditional write.

        Args:
            name: Of the bucket.
            draw: What to do, and where.
            expires_at: Epoch second from which the bucket may be forgotten, because it is full.

        Raises:
            RetryableError: The store did not answer. The draw may have been done, once or more often.
        """
        ...


class LimitSettings(Protocol):
    """Limits that an operator set, over those that are declared."""

    async def read(self) -> dict[str, Limit]:
        """All of them by name, strongly consistent.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def put(self, name: str, limit: Limit) -> None:
        """Set one; it replaces what was set before.

        Raises:
            RetryableError: The store did not answer. It may or may not be set.
        """
        ...

    async def remove(self, name: str) -> None:
        """Go back to what is declared.

        Raises:
            RetryableError: The store did not answer.
        """
        ...


class SlotStore(Protocol):
    """Slots of concurrency caps."""

    async def read(self, name: str) -> list[Slot]:
        """The slots that were ever claimed and not given up. Possibly a moment old.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def claim(self, name: str, claim: Claim, expires_at: int) -> Slot | None:
        """Take a slot, if nobody has it but whom the claim may follow; repeated by its holder it is the same claim.

        Returns:
            None when it is the claimant's, else the slot as another holds it.

        Raises:
            RetryableError: The store did not answer. The slot may have been claimed.
        """
        ...

    async def give_up(self, name: str, index: int, holder: str) -> None:
        """Free a slot, if this holder has it.

        Raises:
            RetryableError: The store did not answer. The slot is freed when its lease ends.
        """
        ...
