"""The family spread over processes that share a table; one of them is killed in the midst of it.

Each process writes its ledger to a file, a line a call, before the call: so what the killed one spent is known.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.budgets.family import ROOT, Family, Ledger, Load, Lossy, desk_over
from flotilla.clock import SystemClock
from flotilla.dynamo.budgets import DynamoBudgets
from flotilla.primitives.budget import Account, Hold, Settle
from flotilla.runtime.threads import ThreadRunner

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_THREADS = 4
_PATIENCE_SECONDS = 60.0
"""The machine is busy with all of them at once; what is slow here is not the store of a deployment."""

_KILL_AFTER_CALLS = 15
_GIVE_UP_SECONDS = 240.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Table:
    """Where the budgets are."""

    endpoint: str
    name: str
    region: str
    account: str

    def client(self) -> DynamoDBClient:
        """Reaches it."""
        import boto3

        return boto3.client(
            "dynamodb",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.account,
            aws_secret_access_key="testing",
        )

    def make(self) -> None:
        """Make it, as the deployed one is keyed."""
        self.client().create_table(
            TableName=self.name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
        )


@dataclass(frozen=True, slots=True)
class Raced:
    """What a race came to.

    Attributes:
        spent: What all calls really cost.
        most: The dearest one.
        most_beyond: The most that one cost beyond what was reserved for it.
        account: The root's budget in the end.
        killed: Processes that were killed.
    """

    spent: int
    calls: int
    most: int
    most_beyond: int
    account: Account
    killed: int


def race(table: Table, load: Load, *, processes: int, directory: Path, seed: int = 1) -> Raced:
    """Run the family in `processes`, and kill the first of them."""
    context = multiprocessing.get_context("spawn")
    each = load.tasks // processes
    paths = [directory / f"ledger-{number}" for number in range(processes)]
    running = [
        context.Process(target=_work, args=(table, load, number * each, each, seed + number, path), daemon=True)
        for number, path in enumerate(paths)
    ]
    for process in running:
        process.start()
    until = time.monotonic() + _GIVE_UP_SECONDS
    while running[0].is_alive() and len(_lines(paths[0])) < _KILL_AFTER_CALLS:
        time.sleep(_POLL_SECONDS)
    running[0].kill()
    for process in running:
        process.join(max(0.0, until - time.monotonic()))
    failed = [process.exitcode for process in running[1:] if process.exitcode != 0]
    for process in running:
        process.kill()
    if failed:
        raise RuntimeError(f"processes ended with {failed}")
    made = [line for path in paths for line in _lines(path)]
    return Raced(
        spent=sum(cost for _, cost in made),
        calls=len(made),
        most=max(cost for _, cost in made),
        most_beyond=max(cost - amount for amount, cost in made),
        account=asyncio.run(_account(table)),
        killed=1,
    )


def _work(table: Table, load: Load, first: int, count: int, seed: int, path: Path) -> None:
    chance = random.Random(seed)
    clock = SystemClock()
    threads = ThreadRunner("budgets", _THREADS)
    store = Lossy(DynamoBudgets(table.client(), table.name, threads), chance, load.lost)
    desk = desk_over(store, load, clock, chance, patience_seconds=_PATIENCE_SECONDS)
    with path.open("ab", buffering=0) as file:
        ledger = Ledger(note=lambda amount, cost: _write(file.fileno(), amount, cost))
        asyncio.run(Family(load, store, clock, chance, ledger, desk).run(first, count))


def _write(descriptor: int, amount: int, cost: int) -> None:
    os.write(descriptor, f"{amount} {cost}\n".encode())


def _lines(path: Path) -> list[tuple[int, int]]:
    if not path.exists():
        return []
    whole = path.read_text(encoding="ascii").rpartition("\n")[0].splitlines()
    return [(int(amount), int(cost)) for amount, _, cost in (line.partition(" ") for line in whole)]


async def _account(table: Table) -> Account:
    store = DynamoBudgets(table.client(), table.name, ThreadRunner("look", 1))
    # What settles nothing changes nothing, and is told what there is.
    return (await store.change(f"task#{ROOT}", Settle("nothing", Hold(1, 1), 1), 4_000_000_000)).before
