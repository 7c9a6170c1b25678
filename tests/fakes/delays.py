"""The delay ladder in memory."""

from __future__ import annotations

from flotilla.models import TaskMessage


class MemoryDelays:
    """`Delays` that keep what each tier was sent, one message for each deduplication id."""

    def __init__(self) -> None:
        self.tiers: dict[int, dict[str, TaskMessage]] = {}
        self.sends = 0

    async def send(self, message: TaskMessage, tier_seconds: int) -> None:
        self.sends += 1
        tier = self.tiers.setdefault(tier_seconds, {})
        tier.setdefault(f"{message.deduplication_id}-{message.hops}", message)

    def take(self, tier_seconds: int) -> list[TaskMessage]:
        """What a tier was sent, taken out of it."""
        return list(self.tiers.pop(tier_seconds, {}).values())
