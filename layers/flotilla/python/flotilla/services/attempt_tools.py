"""What attempts are made with: the tools of a process, and the invocation that they are part of."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from flotilla.agents.catalog import Catalog
from flotilla.agents.loader import AgentLoader
from flotilla.clock import Clock
from flotilla.ports import EventLog, LaneReceipts, PayloadStore, RunSync, SessionTurns
from flotilla.services.agent_threads import Overruns
from flotilla.services.attempt_usage import Compute
from flotilla.services.bridge import Bridge
from flotilla.services.callbacks import Callbacks
from flotilla.services.children import DeployedLanes
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.gate import Gate
from flotilla.services.roster import Roster

if TYPE_CHECKING:
    from flotilla.integrations.desk import IntegrationDesk
    from flotilla.services.attempt_budgets import BudgetDesk
    from flotilla.services.models import ModelDesk

_FRESH_MS = 1000


@dataclass(slots=True)
class Invocation:
    """One invocation of a worker function.

    Attributes:
        ends_ms: When Lambda will kill it.
        overruns: Agents' code still running on a thread after its time. A thread cannot be stopped,
            so while there are any the process must not outlive the invocation.
        roster: The attempts under way.
        messages: How many it was handed.
    """

    worker: str
    began_ms: int
    ends_ms: int
    overruns: Overruns = field(default_factory=Overruns)
    roster: Roster = field(default_factory=Roster)
    messages: int = 1

    def fresh(self, now_ms: int) -> bool:
        """Another invocation would have no more time than this one."""
        return now_ms - self.began_ms < _FRESH_MS


class Watchdog(Protocol):
    """Ends the process when an attempt outlives its lease (see `primitives.lease`)."""

    def arm(self, key: str, lease_until_ms: int) -> None:
        """From now on `key` must be disarmed before `lease_until_ms`."""
        ...

    def disarm(self, key: str) -> None:
        """`key` ended in time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTools:
    """What attempts need, the same for every invocation of a process.

    Attributes:
        dispatch: Sends on what waits elsewhere.
        gate: Decides whether a task that could start should.
        turns: The sessions' turns.
        run_agent: Runs plain agents on threads of their own, so that they cannot starve the log.
        random: Draws jitter.
        integrations: Makes (or returns) what calls to integrations go through; None where there are none.
        models: The same for calls to language models.
        budgets: The same for what these may cost.
        lanes: The lanes that tasks which agents submit may be put on; None where they may submit none.
        bridge: Makes tasks of workflows' orders; None where there are no workflows.
        callbacks: Answers workflows' states; None likewise.
        files: Where agents' files lie; None where they have none.
        compute: The process and what it costs; None where only time is told of what attempts used.
    """

    log: EventLog
    receipts: LaneReceipts
    dispatch: Dispatch
    gate: Gate
    turns: SessionTurns
    claim_check: ClaimCheck
    catalog: Catalog
    loader: AgentLoader
    clock: Clock
    run_agent: RunSync
    watchdog: Watchdog
    random: random.Random
    integrations: Callable[[], IntegrationDesk] | None = None
    models: Callable[[], ModelDesk] | None = None
    budgets: Callable[[], BudgetDesk] | None = None
    lanes: DeployedLanes | None = None
    bridge: Bridge | None = None
    callbacks: Callbacks | None = None
    files: PayloadStore | None = None
    compute: Compute | None = None
