"""`Pauses` in memory."""

from __future__ import annotations

import asyncio

from flotilla.coordination import Pause, PauseScope


class MemoryPauses:
    """`Pauses` in a dictionary."""

    def __init__(self) -> None:
        self.pauses: dict[tuple[PauseScope, str], Pause] = {}
        self.reads = 0

    async def read(self) -> list[Pause]:
        self.reads += 1
        await asyncio.sleep(0)
        return list(self.pauses.values())

    async def put(self, pause: Pause) -> None:
        await asyncio.sleep(0)
        self.pauses[pause.scope, pause.name] = pause

    async def remove(self, scope: PauseScope, name: str) -> None:
        await asyncio.sleep(0)
        self.pauses.pop((scope, name), None)
