"""What the process of each function wires together, and what it does in one invocation, as the handlers do.

Invariant: nothing here decides anything about a task; what is decided, the services decide.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, cast

from flotilla.agents.catalog import Catalog
from flotilla.agents.loader import AgentLoader
from flotilla.events import Event
from flotilla.models import Delivery
from flotilla.ports import (
    Archive,
    EventLog,
    Flights,
    LaneDepths,
    Pauses,
    PayloadStore,
    ReadModel,
    SessionTurns,
    Watchlist,
)
from flotilla.primitives.ladder import Ladder
from flotilla.retention_ports import RetentionLedger
from flotilla.services.archive_logs import LogArchiver
from flotilla.services.attempt_tools import AttemptTools, Invocation
from flotilla.services.batch import BatchService
from flotilla.services.bridge import Bridge
from flotilla.services.callbacks import Callbacks
from flotilla.services.cancel import CancelService
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.gate import Gate
from flotilla.services.open_logs import OpenLogs
from flotilla.services.past_logs import PastLogs
from flotilla.services.pause_board import PauseBoard
from flotilla.services.project import Projector
from flotilla.services.reconcile import Reconciler
from flotilla.services.redrive import RedriveService
from flotilla.services.relay import Relay
from flotilla.services.signal import SignalService
from flotilla.services.single_flight import SingleFlight
from flotilla.services.submit import SubmitService
from flotilla.services.triage import DeadMessage, Orders, TriageService
from flotilla.workflow_ports import TaskTokens
from tests.simulation.agents import SPECS
from tests.simulation.fleet import TIERS, Fleet
from tests.simulation.ports import Delays, Depths, Lanes, Log, Receipts, Store, Turns
from tests.simulation.processes import Process
from tests.simulation.queues import FifoQueue
from tests.simulation.schedules import Schedules
from tests.simulation.stage import SimulatedThreads, SimulatedWatchdog, Stage
from tests.simulation.workload import LANES

RETENTION_DAYS = 30
RECONCILER_MARGIN_MS = 20_000


@dataclass(frozen=True)
class ApiTools:
    """The API's process."""

    submit: SubmitService
    cancel: CancelService
    redrive: RedriveService
    signals: SignalService
    pauses: Pauses


@dataclass(frozen=True)
class RelayTools:
    """The relay's process."""

    relay: Relay
    receipts: Receipts


@dataclass(frozen=True)
class TriageTools:
    """The triage's process."""

    triage: TriageService
    receipts: Receipts
    queue: str


@dataclass(frozen=True)
class ReconcilerTools:
    """The reconciler's process."""

    reconciler: Reconciler
    process: Process


class Roles:
    """Wires processes over the stores and queues of one fleet.

    The parts that a process is made of are attributes, so that a planted fault can wire in one that is broken.
    """

    batches: type[BatchService] = BatchService
    flights: type[SingleFlight] = SingleFlight
    submits: type[SubmitService] = SubmitService
    signals: type[SignalService] = SignalService
    projectors: type[Projector] = Projector
    archivers: type[LogArchiver] = LogArchiver

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.catalog = Catalog(SPECS)
        self.ladder = Ladder(TIERS)

    # Ports of a process.

    def log(self, process: Process) -> EventLog:
        return Log(process, self.fleet.log, self.fleet.append, self.fleet.history.decided)

    def claim_check(self, process: Process) -> ClaimCheck:
        return ClaimCheck(self.payloads(process), self.fleet.workload.inline_bytes)

    def payloads(self, process: Process) -> PayloadStore:
        return cast(PayloadStore, Store(process, "payloads", self.fleet.payloads))

    def pauses(self, process: Process) -> Pauses:
        return cast(Pauses, Store(process, "pauses", self.fleet.pauses))

    def views(self, process: Process) -> ReadModel:
        return cast(ReadModel, Store(process, "views", self.fleet.views))

    def archive(self, process: Process) -> Archive:
        return cast(Archive, Store(process, "archive", self.fleet.archive))

    def sends(self, process: Process) -> Lanes:
        return Lanes(process, self.fleet.lanes)

    def dispatch(self, process: Process, *, schedules: bool = True) -> Dispatch:
        return Dispatch(
            lanes=self.sends(process),
            delays=Delays(process, self.fleet.tiers),
            schedules=Schedules(process, self.fleet.schedules) if schedules else None,
            ladder=self.ladder,
            clock=process.clock,
        )

    def chance(self) -> random.Random:
        """A process's own random numbers."""
        return random.Random(self.fleet.rng.random())

    # Processes.

    def single_flight(self, process: Process, chance: random.Random) -> SingleFlight:
        flights = cast(Flights, Store(process, "flights", self.fleet.flights))
        return self.flights(flights, self.log(process), self.claim_check(process), process.clock, chance)

    def pause_board(self, process: Process) -> PauseBoard:
        return PauseBoard(self.pauses(process), process.clock)

    def turns(self, process: Process) -> SessionTurns:
        return Turns(process, self.fleet.turns)

    def receipts(self, process: Process, queue: FifoQueue, dead_letters: FifoQueue | None) -> Receipts:
        return Receipts(process, queue, dead_letters, self.fleet.deleted)

    def worker(self, process: Process, lane: str) -> AttemptTools:
        """As the worker's handler."""
        process.stage = Stage(process, self.fleet.history)
        chance = self.chance()
        dispatch = self.dispatch(process, schedules=False)
        return AttemptTools(
            log=self.log(process),
            receipts=self.receipts(process, self.fleet.lanes[lane], self.fleet.dead[lane]),
            dispatch=dispatch,
            gate=Gate(
                pauses=self.pause_board(process),
                flights=self.single_flight(process, chance),
                clock=process.clock,
                random=chance,
            ),
            turns=self.turns(process),
            claim_check=self.claim_check(process),
            catalog=self.catalog,
            loader=AgentLoader(),
            clock=process.clock,
            run_agent=SimulatedThreads(process),
            watchdog=SimulatedWatchdog(process),
            random=chance,
            bridge=self.bridge(process, dispatch, lane),
            callbacks=self.callbacks(process),
        )

    def callbacks(self, process: Process) -> Callbacks:
        tokens = cast(TaskTokens, Store(process, "states", self.fleet.states))
        return Callbacks(tokens, self.claim_check(process), self.fleet.metrics)

    def bridge(self, process: Process, dispatch: Dispatch, lane: str) -> Bridge:
        return Bridge(
            log=self.log(process),
            claim_check=self.claim_check(process),
            dispatch=dispatch,
            callbacks=self.callbacks(process),
            clock=process.clock,
            lane=lane,
            lanes=LANES,
        )

    async def work(self, tools: AttemptTools, request_id: str, ends: float, batch: list[Delivery]) -> list[str]:
        """As the worker's handler."""
        now_ms = tools.clock.now_ms()
        process = cast(SimulatedWatchdog, tools.watchdog).process
        invocation = Invocation(request_id, now_ms, now_ms + int((ends - process.scheduler.now) * 1000))
        result = await self.batches(tools).run(batch, invocation)
        if invocation.overruns.count:
            await tools.receipts.delete(result.done)
            process.die("a thread outlived its attempt")
        return [delivery.message_id for delivery in result.again]

    def open_logs(self, process: Process) -> OpenLogs:
        past = PastLogs(
            views=self.views(process),
            archive=self.archive(process),
            clock=process.clock,
            retention_days=RETENTION_DAYS,
        )
        return OpenLogs(log=self.log(process), past=past, clock=process.clock, retention_days=RETENTION_DAYS)

    def api(self, process: Process) -> ApiTools:
        """As the API's handler."""
        claim_check = self.claim_check(process)
        dispatch = self.dispatch(process)
        clock = process.clock
        logs = self.open_logs(process)
        return ApiTools(
            submit=self.submits(log=self.log(process), dispatch=dispatch, claim_check=claim_check, clock=clock),
            cancel=CancelService(logs=logs, schedules=Schedules(process, self.fleet.schedules), clock=clock),
            redrive=RedriveService(
                logs=logs, dispatch=dispatch, claim_check=claim_check, catalog=self.catalog, lanes=LANES, clock=clock
            ),
            signals=self.signals(logs=logs, dispatch=dispatch, lanes=LANES, clock=clock),
            pauses=self.pauses(process),
        )

    async def answer(self, tools: ApiTools, request_id: str, ends: float, call: Any) -> Any:
        """One call of the API."""
        return await call(tools, request_id)

    def relay(self, process: Process, queue: FifoQueue) -> RelayTools:
        """As the relay's handler."""
        relay = Relay(
            lanes=self.sends(process),
            lane_names=LANES,
            delays=Delays(process, self.fleet.tiers),
            ladder=self.ladder,
            clock=process.clock,
        )
        return RelayTools(relay, self.receipts(process, queue, self.fleet.dead_delays))

    async def pass_on(self, tools: RelayTools, request_id: str, ends: float, batch: list[Delivery]) -> list[str]:
        """As the relay's handler."""
        result = await tools.relay.run(batch, tools.receipts)
        return [delivery.message_id for delivery in result.again]

    def triage(self, process: Process, queue: FifoQueue) -> TriageTools:
        """As the triage's handler."""
        dispatch = self.dispatch(process)

        def bridge(name: str) -> Bridge:
            return self.bridge(process, dispatch, name.removesuffix("-dead"))

        triage = TriageService(
            log=self.log(process),
            read_model=self.views(process),
            dispatch=dispatch,
            payloads=self.payloads(process),
            lanes=LANES,
            clock=process.clock,
            random=self.chance(),
            actor=f"triage:{process.name}",
            orders=Orders(bridge, lambda: self.catalog),
        )
        return TriageTools(triage, self.receipts(process, queue, None), queue.name)

    async def sort_out(self, tools: TriageTools, request_id: str, ends: float, batch: list[Delivery]) -> list[str]:
        """As the triage's handler."""
        messages = [DeadMessage(delivery, tools.queue, None) for delivery in batch]
        result = await tools.triage.run(messages, tools.receipts)
        return [delivery.message_id for delivery in result.again]

    def projector(self, process: Process) -> Projector:
        """As the projector's handler."""
        return self.projectors(
            log=self.log(process),
            views=self.views(process),
            archiver=self.archivers(self.archive(process)),
            ledger=cast(RetentionLedger, Store(process, "views", self.fleet.ledger)),
            retention_days=RETENTION_DAYS,
        )

    async def project(self, tools: Projector, request_id: str, ends: float, events: list[Event]) -> frozenset[str]:
        """As the projector's handler, with task ids for sequence numbers."""
        return await tools.project(events)

    def reconciler(self, process: Process) -> ReconcilerTools:
        """As the reconciler's handler."""
        reconciler = Reconciler(
            log=self.log(process),
            views=self.views(process),
            watchlist=cast(Watchlist, Store(process, "views", self.fleet.watchlist)),
            dispatch=self.dispatch(process),
            depths=cast(LaneDepths, Depths(process, self.fleet.waiting)),
            lane_names=LANES,
            clock=process.clock,
        )
        return ReconcilerTools(reconciler, process)

    async def reconcile(self, tools: ReconcilerTools, request_id: str, ends: float, event: object) -> None:
        """As the reconciler's handler."""
        left = ends - tools.process.scheduler.now
        await tools.reconciler.run(tools.process.clock.now_ms() + int(left * 1000) - RECONCILER_MARGIN_MS)
