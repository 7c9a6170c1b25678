"""Is this the whole log of a task, as it was written?

Each event's hash covers all it says and the hash before it. So an event that was altered, left out, put in, moved or
taken from another task no longer fits; and where somebody who kept the newest event's hash (the archive, the read
model) says how far the log reached, neither can its end be cut off unseen. Needs no store and no network: it works on
what a client was told, on an archived file, and on the table's own items alike.

It shows that a log was changed, not by whom; and whoever can write all of log, archive and read model can write a
whole new history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flotilla.errors import CorruptLogError
from flotilla.events import GENESIS_HASH, Event, TaskState, chain, fold


@dataclass(frozen=True, slots=True)
class KnownHead:
    """How far a log is known to reach, from elsewhere than the log.

    Attributes:
        seq: Number of an event that it surely has.
        hash: That event's hash (hex); empty where only the number is known.
        whole: Nothing comes after it.
    """

    seq: int
    hash: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    Attributes:
        seq: The place in the log; None where it concerns the log as a whole.
    """

    seq: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer.

    Attributes:
        events: How many were looked at.
        findings: What is wrong, in the order of the log; empty for a log that is whole.
        state: What became of the task, where the log is whole.
    """

    task_id: str
    events: int
    findings: tuple[Finding, ...]
    state: TaskState | None

    @property
    def whole(self) -> bool:
        """Nothing was altered, is missing, or was put in."""
        return not self.findings


def verify_log(events: Sequence[Event], known: KnownHead | None = None) -> Verification:
    """Check a task's log, in the order it is given.

    Args:
        events: The log.
        known: How far it reaches, as far as that is known from elsewhere.
    """
    if not events:
        missing = "there is no event" if known is None else f"there is no event, of {known.seq + 1} at least"
        return Verification("", 0, (Finding(None, missing),), None)
    task_id = events[0].task_id
    findings = [*_misfits(events, task_id), *_beyond(events, known)]
    state = None
    if not findings:
        try:
            state = fold(events)
        except CorruptLogError as error:
            findings = [Finding(None, f"every hash fits, but no task can have gone so: {error.message}")]
    return Verification(task_id, len(events), tuple(findings), state)


def _misfits(events: Sequence[Event], task_id: str) -> list[Finding]:
    findings: list[Finding] = []
    expected_seq, expected_hash = 0, GENESIS_HASH
    for event in events:
        if event.task_id != task_id:
            findings.append(Finding(event.seq, f"belongs to another task, {event.task_id}"))
            continue
        if event.seq > expected_seq:
            gap = f"event {expected_seq} is" if event.seq == expected_seq + 1 else f"events from {expected_seq} on are"
            findings.append(Finding(expected_seq, f"{gap} missing before event {event.seq}"))
        elif event.seq < expected_seq:
            findings.append(Finding(event.seq, "is there more than once, or in the wrong place"))
            continue
        elif event.prev_hash != expected_hash:
            findings.append(Finding(event.seq, "does not follow from the event before it"))
        if not _own_hash_fits(event):
            findings.append(Finding(event.seq, "was altered: its hash does not fit what it says"))
        expected_seq, expected_hash = event.seq + 1, event.hash
    return findings


def _own_hash_fits(event: Event) -> bool:
    try:
        made = chain(
            task_id=event.task_id,
            seq=event.seq,
            kind=event.kind,
            at_ms=event.at_ms,
            actor=event.actor,
            attempt=event.attempt,
            body=event.body,
            prev_hash=event.prev_hash,
        )
    except (ValueError, TypeError):
        return False
    return made.hash == event.hash


def _beyond(events: Sequence[Event], known: KnownHead | None) -> list[Finding]:
    if known is None:
        return []
    last = events[-1].seq
    if last < known.seq:
        return [Finding(last + 1, f"the log was cut off: it reached to event {known.seq} at least")]
    findings = [
        Finding(event.seq, "is not the event that was known to be here")
        for event in events
        if known.hash and event.seq == known.seq and event.hash != known.hash
    ]
    if known.whole and last > known.seq:
        findings.append(Finding(known.seq + 1, f"was put in: the log ended with event {known.seq}"))
    return findings
