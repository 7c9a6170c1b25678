"""A worker process that stops, on request, between claiming its task and committing the result.

Run as `python -m tests.e2e.stale_worker TABLE BODY NAME {halt|go}`; prints `claimed` and waits for a line on stdin
when told to halt, then prints how its batch ended.
"""

from __future__ import annotations

import asyncio
import random
import sys

from pydantic import BaseModel

from flotilla.agents import Context, agent
from flotilla.agents.catalog import Catalog
from flotilla.agents.decorator import definition_of
from flotilla.agents.loader import AgentLoader
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.models import Delivery
from flotilla.runtime import clients
from flotilla.services.attempt_tools import AttemptTools, Invocation
from flotilla.services.batch import BatchService
from flotilla.services.claim_check import ClaimCheck
from tests.fakes import MemoryLanes, MemoryPayloadStore, MemoryReceipts, MemoryWatchdog, run_on_thread
from tests.fakes.assembly import dispatch_to, gate_to
from tests.fakes.session_turns import MemorySessionTurns

AGENT = "test.stale"


class Input(BaseModel):
    pass


@agent(AGENT, timeout_seconds=0.2, max_attempts=3)
async def stale(task: Input, ctx: Context) -> str:
    if sys.argv[4] == "halt":
        # Blocks the event loop on purpose: nothing in this process can notice that its lease runs out.
        sys.stdout.write("claimed\n")
        sys.stdout.flush()
        sys.stdin.readline()
    return sys.argv[3]


async def main(table: str, body: str, name: str) -> None:
    definition = definition_of(stale)
    assert definition is not None
    clock = SystemClock()
    receipts = MemoryReceipts()
    log = DynamoEventLog(clients.dynamodb(), table, 1, run_on_thread)
    claim_check = ClaimCheck(MemoryPayloadStore(), inline_bytes=10_000)
    service = BatchService(
        AttemptTools(
            log=log,
            receipts=receipts,
            dispatch=dispatch_to(MemoryLanes(), clock),
            gate=gate_to(log, claim_check, clock),
            turns=MemorySessionTurns(),
            claim_check=claim_check,
            catalog=Catalog({AGENT: definition.spec()}),
            loader=AgentLoader(),
            clock=clock,
            run_agent=run_on_thread,
            watchdog=MemoryWatchdog(),  # the real one would end the halted process, as it should
            random=random.Random(1),
        )
    )
    delivery = Delivery(name, name, "group", 1 if name == "first" else 2, body)
    while True:
        now_ms = clock.now_ms()
        result = await service.run([delivery], Invocation(name, now_ms, now_ms + 60_000))
        if result.done or sys.argv[4] == "halt":
            break
        await clock.sleep(receipts.visibility[-1][1])  # as the queue would, until the lease has ended
    sys.stdout.write("done\n" if result.done else "left\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
