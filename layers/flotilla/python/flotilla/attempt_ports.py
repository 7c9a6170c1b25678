"""What calls on behalf of an attempt need of it."""

from __future__ import annotations

from typing import Protocol


class Supervisor(Protocol):
    """Says whether the attempt may go on."""

    async def go_on(self) -> None:
        """Let it begin something new.

        Raises:
            AttemptRevokedError: It is over, or its task is no longer its own.
            ParkedError: The task was paused.
        """
        ...
