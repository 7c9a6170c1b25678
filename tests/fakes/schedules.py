"""EventBridge Scheduler in memory."""

from __future__ import annotations

from flotilla.models import TaskMessage


class MemorySchedules:
    """`Schedules` that keep what was put, one for each state of a task."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, int], tuple[TaskMessage, int]] = {}
        self.puts = 0

    async def put(self, message: TaskMessage, at_ms: int) -> None:
        self.puts += 1
        # As the real one, to the whole second that has begun.
        self.waiting.setdefault((message.task_id, message.seq), (message, at_ms // 1000 * 1000))

    async def remove(self, task_id: str, seq: int) -> None:
        self.waiting.pop((task_id, seq), None)

    def fire(self, now_ms: int) -> list[TaskMessage]:
        """What is due by now; fired, it is gone."""
        due = [key for key, (_, at_ms) in self.waiting.items() if at_ms <= now_ms]
        return [self.waiting.pop(key)[0] for key in due]
