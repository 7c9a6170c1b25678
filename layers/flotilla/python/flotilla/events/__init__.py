"""The event log's vocabulary and its pure functions: kinds, hash chain, fold."""

from flotilla.events.event import GENESIS_HASH, Event, chain, verify_chain
from flotilla.events.fold import TaskState, fold
from flotilla.events.kinds import Kind

__all__ = ["GENESIS_HASH", "Event", "Kind", "TaskState", "chain", "fold", "verify_chain"]
