"""`SessionTurns` in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from flotilla.coordination import Turn
from flotilla.models import Payload, canonical_json


class MemorySessionTurns:
    """`SessionTurns` in a dictionary; what it keeps and gives are copies, made through JSON as in every real store."""

    MOST = 1000

    def __init__(self) -> None:
        self.sessions: dict[tuple[str, str], dict[tuple[int, str], Turn]] = {}
        self.reads = 0
        self.puts = 0

    async def read(self, tenant: str, session: str) -> list[Turn]:
        self.reads += 1
        await asyncio.sleep(0)
        turns = self.sessions.get((tenant, session), {})
        return [_copy(turn) for _, turn in sorted(turns.items())[-self.MOST :]]

    async def put(self, tenant: str, session: str, turns: Sequence[Turn]) -> None:
        self.puts += 1
        for turn in turns:
            await asyncio.sleep(0)
            kept = self.sessions.setdefault((tenant, session), {})
            kept.setdefault((turn.position, turn.task_id), _copy(turn))


def _copy(turn: Turn) -> Turn:
    content = json.loads(canonical_json(turn.content.to_json()))
    return replace(turn, content=Payload.from_json(content))
