"""Services over ports in memory, for tests that are about something else."""

from __future__ import annotations

import random

from flotilla.clock import Clock
from flotilla.ports import EventLog, Lanes, Pauses
from flotilla.primitives.ladder import Ladder
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.gate import Gate
from flotilla.services.pause_board import PauseBoard
from flotilla.services.single_flight import SingleFlight
from tests.fakes.delays import MemoryDelays
from tests.fakes.flights import MemoryFlights
from tests.fakes.pauses import MemoryPauses
from tests.fakes.schedules import MemorySchedules

TIERS_SECONDS = (1, 15, 120, 480, 900)


def dispatch_to(lanes: Lanes, clock: Clock) -> Dispatch:
    """A dispatch to `lanes`; what is not due yet stays in memory."""
    return Dispatch(
        lanes=lanes, delays=MemoryDelays(), schedules=MemorySchedules(), ladder=Ladder(TIERS_SECONDS), clock=clock
    )


def gate_to(log: EventLog, claim_check: ClaimCheck, clock: Clock, pauses: Pauses | None = None) -> Gate:
    """The gate of one process; without `pauses` nothing is paused."""
    chance = random.Random(7)
    return Gate(
        pauses=PauseBoard(pauses or MemoryPauses(), clock),
        flights=SingleFlight(MemoryFlights(), log, claim_check, clock, chance),
        clock=clock,
        random=chance,
    )
