"""One entry of the read model brought to what the logs of its task say, while others may be writing it.

    an entry that              is
    is missing or behind       made of the log
    is of the same event       compared with it, and put right
    is further than the log    looked up in all logs there are: written since, archived, or wrong and set back

An entry is read before the logs are that it is judged by. So whatever the projector wrote is in them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, replace
from typing import TypeVar

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, StoreUnavailableError
from flotilla.events import Event
from flotilla.ports import EventLog
from flotilla.primitives.retention import noticed_before_ms
from flotilla.read_model import Entry
from flotilla.retention_ports import ArchiveScan, EntryMender, Kept, LogScan, Mended, RetentionLedger
from flotilla.services.project import entry_of_log

T = TypeVar("T")

logger = logging.getLogger("flotilla.rebuild")

_TRIES = 8
_FIRST_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Sources:
    """Where logs are.

    Attributes:
        scan: Reads every log in the table.
        log: Reads one of them.
        archive: Reads those that are archived.
    """

    scan: LogScan
    log: EventLog
    archive: ArchiveScan


@dataclass(frozen=True, slots=True)
class Settled:
    """How it went with an entry.

    Attributes:
        stored: It was written.
        set_back: It said more than any log did.
    """

    stored: bool
    set_back: bool = False


class Settlement:
    """Settles entries.

    Args:
        sources: The logs.
        mender: Writes entries.
        ledger: Is told of what the retention keeper has to look at again.
        clock: Tells the time.
        retention_days: How long a finished task's log is promised to be kept in the table.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        mender: EntryMender,
        ledger: RetentionLedger,
        clock: Clock,
        retention_days: int,
    ) -> None:
        self._sources = sources
        self._mender = mender
        self._ledger = ledger
        self._clock = clock
        self._retention_days = retention_days

    async def settle(self, entry: Entry, known_keys: Container[str] | None = None) -> Settled:
        """Have the task's entry say what `entry`, which follows from a log, says, or what a longer log does.

        Args:
            entry: What the log says.
            known_keys: The objects that the archive has; where an entry names another, it is looked for. None: no
                entry's word for where its log is archived is doubted.

        Raises:
            RetryableError: A store did not answer for half a minute.
            CorruptLogError: An archived log is none.
        """
        mended = await self._mend(entry)
        there, stored, set_back = mended.standing, mended.stored, False
        if there.head_seq > entry.head_seq:
            entry = await self._furthest(entry, there.archive_key)
            mended = await self._mend(entry)
            if mended.standing == there and there.head_seq > entry.head_seq:
                # It stands as it did before the logs were read, and none of them reaches so far.
                mended = await patiently(self._clock, lambda: self._mender.mend(entry, over=there))
                set_back = mended.stored
                logger.warning("entry said too much", extra={"task_id": entry.task_id, "head_seq": there.head_seq})
        elif known_keys is not None and await self._archived_nowhere(entry, there.archive_key, known_keys):
            # The retention keeper must not believe it.
            unarchived = replace(entry, archive_key=None)
            mended = await patiently(self._clock, lambda: self._mender.mend(unarchived, over=there))
        if mended.standing.archive_key is None:
            await self._remember(entry)
        return Settled(stored or mended.stored, set_back)

    async def is_archived(self, key: str, events: list[Event]) -> bool:
        """Whether the object at `key` has a log of the task with all of `events` in it.

        Raises:
            RetryableError: The archive did not answer for half a minute.
            CorruptLogError: The object holds no logs.
        """
        archived = await self._archived_log(key, events[0].task_id)
        return {event.hash for event in events} <= {event.hash for event in archived}

    async def _mend(self, entry: Entry) -> Mended:
        return await patiently(self._clock, lambda: self._mender.mend(entry))

    async def _furthest(self, entry: Entry, archive_key: str | None) -> Entry:
        """What the log says that reaches furthest: the one that `entry` follows from, the table's, or the archived."""
        found = [entry]
        live = await patiently(self._clock, lambda: self._sources.log.read(entry.task_id))
        if live and live[0].seq == 0:
            try:
                found.append(entry_of_log(live))
            except CorruptLogError:
                logger.warning("log begun to be dropped, or corrupt", extra={"task_id": entry.task_id})
        if archive_key is not None:
            archived = await self._archived(archive_key, entry)
            found += [archived] if archived is not None else []
        # Of two that reach as far, the one that says where it is archived.
        return max(found, key=lambda each: (each.head_seq, each.archive_key is not None))

    async def _archived_nowhere(self, entry: Entry, key: str | None, known_keys: Container[str]) -> bool:
        """Whether the entry names an object that does not hold its log: none of those listed, nor a newer one."""
        return key is not None and key not in known_keys and await self._archived(key, entry) is None

    async def _archived(self, key: str, entry: Entry) -> Entry | None:
        """What the archived log of the task says; None where it is not at `key`."""
        log = await self._archived_log(key, entry.task_id)
        if not log:
            return None
        archived = replace(entry_of_log(log), archive_key=key)
        return archived if archived.tenant == entry.tenant else None

    async def _archived_log(self, key: str, task_id: str) -> list[Event]:
        logs = await patiently(self._clock, lambda: self._sources.archive.logs(key))
        return next((log for log in logs if log[0].task_id == task_id), [])

    async def _remember(self, entry: Entry) -> None:
        """Have the retention keeper see to what it may have passed by: the entry was not there, or not right."""
        now_ms = self._clock.now_ms()
        if entry.created_at_ms >= noticed_before_ms(now_ms, self._retention_days):
            return
        kept = Kept(entry.task_id, entry.tenant, entry.created_at_ms, now_ms)
        await patiently(self._clock, lambda: self._ledger.remember(kept))


async def patiently(clock: Clock, call: Callable[[], Awaitable[T]]) -> T:
    """Call until the store answers, for half a minute.

    Raises:
        RetryableError: It did not; or at once, where it answered with what is of a later version.
    """
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(_TRIES - 1):
        try:
            return await call()
        except StoreUnavailableError as error:
            logger.warning("trying again", extra={"code": error.code})
        await clock.sleep(pause)
        pause *= 2
    return await call()
