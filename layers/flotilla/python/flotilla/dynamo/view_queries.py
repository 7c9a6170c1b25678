"""How the entries that a filter wants are asked for: which partitions, from where to where, and what is passed over.

Whose entries are read stands in the partition key, which is made of the filter's tenant and of nothing a client can
choose otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flotilla.dynamo.view_items import (
    ATTENTION,
    SHARDS,
    UNREADABLE_MESSAGES,
    Item,
    attention_partition,
    dead_partition,
    from_item,
    from_unreadable_item,
    run_partition,
    runs_partition,
    task_partition,
)
from flotilla.read_model import DeadFilter, Entry, EntryFilter, RunFilter, RunsFilter, UnreadableMessage

logger = logging.getLogger("flotilla.views")

_LOWEST, _HIGHEST = "0", ":"  # what every time in digits is above and below

LOOKED_AT = 250
"""Entries looked at by one query that passes some over: about 60 KB, eight read units."""


class Listed(NamedTuple):
    """An entry and its place in the list."""

    place: str
    value: Entry | UnreadableMessage


@dataclass(frozen=True, slots=True)
class Source:
    """A partition of the table or of an index, read from its newest entries on.

    Attributes:
        index: The index; empty for the table.
        newest: Nothing above this place is read.
        oldest: Nothing below it.
        passes_over: The condition on what is read, and the names and values in it; empty where all is wanted.
        oldest_first: Read from its oldest entries on.
    """

    partition: str
    index: str
    newest: str
    oldest: str
    passes_over: str
    names: dict[str, str]
    values: Item
    oldest_first: bool = False

    @property
    def _prefix(self) -> str:
        return f"{self.index}_" if self.index else ""

    def request(self, limit: int, start: Any) -> dict[str, Any]:
        """The query for what comes next, of which it looks at `limit` entries, or at more if it passes some over."""
        request: dict[str, Any] = {
            "KeyConditionExpression": "#pk = :pk AND #sk BETWEEN :oldest AND :newest",
            "ExpressionAttributeNames": {"#pk": f"{self._prefix}pk", "#sk": f"{self._prefix}sk", **self.names},
            "ExpressionAttributeValues": {
                ":pk": {"S": self.partition},
                ":oldest": {"S": self.oldest},
                ":newest": {"S": self.newest},
                **self.values,
            },
            "ScanIndexForward": self.oldest_first,
            # One more than is wanted: the last entry of the page before may be among them.
            "Limit": max(limit, LOOKED_AT) if self.passes_over else limit + 1,
        }
        if self.index:
            request["IndexName"] = self.index
        if self.passes_over:
            request["FilterExpression"] = self.passes_over
        if start is not None:
            request["ExclusiveStartKey"] = start
        return request

    def known_to(self, last_key: Any) -> str:
        """The place down to which a query has looked, by the key that it ended at; empty where it saw all."""
        return "" if last_key is None else str(last_key[f"{self._prefix}sk"]["S"])

    def listed(self, items: Iterable[Item], after: str | None) -> list[Listed]:
        """What was read, without the entry at `after`, which has been listed before."""
        found: list[Listed] = []
        for item in items:
            place = item[f"{self._prefix}sk"]["S"]
            if place == after:
                continue
            try:
                unreadable = item["pk"]["S"] == UNREADABLE_MESSAGES
                found.append(Listed(place, from_unreadable_item(item) if unreadable else from_item(item)))
            except (KeyError, ValueError) as error:
                # A deployment reaches functions one at a time: one that has it already can read it.
                logger.warning("entry of another version", extra={"place": place, "error": repr(error)})
        return found


def sources_of(wanted: EntryFilter, after: str | None) -> Sequence[Source]:
    """The partitions that hold the entries wanted."""
    equals = {"agent": wanted.agent, "lane": wanted.lane, "session": wanted.session}
    exists = {"finished_at_ms": wanted.finished, "archive_key": wanted.archived}
    newest = _HIGHEST if wanted.created_before_ms is None else _time(wanted.created_before_ms)
    oldest = _LOWEST if wanted.created_after_ms is None else _time(wanted.created_after_ms)
    newest = newest if after is None else min(newest, after)
    if newest < oldest:
        return []
    if wanted.status in ATTENTION:
        partitions, index = [attention_partition(wanted.tenant, wanted.status)], "attention"
    else:
        partitions, index = [task_partition(wanted.tenant, shard) for shard in range(SHARDS)], ""
        equals["status"] = None if wanted.status is None else wanted.status.value
    condition, names, values = _condition(equals, exists)
    return [Source(partition, index, newest, oldest, condition, names, values) for partition in partitions]


def dead_sources(wanted: DeadFilter, agents: Iterable[str], after: str | None) -> Sequence[Source]:
    """The partitions that hold the dead letters of `agents`."""
    newest = _HIGHEST if after is None else after
    condition, values = "", {}
    if wanted.cause is not None:
        condition, values = "#fingerprint = :cause OR #cause = :cause", {":cause": {"S": wanted.cause}}
    names = {"#fingerprint": "fingerprint", "#cause": "cause"} if condition else {}
    return [Source(dead_partition(agent), "dead", newest, _LOWEST, condition, names, values) for agent in agents]


def source_of_run(wanted: RunFilter, after: str | None) -> Source:
    """The partition that holds the entries of a run's tasks."""
    oldest, newest = _LOWEST, _HIGHEST
    if after is not None:
        oldest, newest = (after, newest) if wanted.oldest_first else (oldest, after)
    condition, names, values = _condition({"step": wanted.step}, {"finished_at_ms": wanted.finished})
    partition = run_partition(wanted.tenant, wanted.run)
    return Source(partition, "run", newest, oldest, condition, names, values, oldest_first=wanted.oldest_first or False)


def source_of_runs(wanted: RunsFilter, after: str | None) -> Source:
    """The partition that holds the entries of a tenant's runs."""
    equals = {"agent": wanted.agent, "status": None if wanted.status is None else wanted.status.value}
    condition, names, values = _condition(equals, {"finished_at_ms": wanted.finished})
    newest = _HIGHEST if after is None else after
    return Source(runs_partition(wanted.tenant), "run", newest, _LOWEST, condition, names, values)


def _condition(equals: dict[str, str | None], exists: dict[str, bool | None]) -> tuple[str, dict[str, str], Item]:
    asked = {name: value for name, value in equals.items() if value is not None}
    there = {name: is_there for name, is_there in exists.items() if is_there is not None}
    parts = [f"#{name} = :{name}" for name in asked]
    parts += [f"attribute_{'' if is_there else 'not_'}exists(#{name})" for name, is_there in there.items()]
    names = {f"#{name}": name for name in (*asked, *there)}
    return " AND ".join(parts), names, {f":{name}": {"S": value} for name, value in asked.items()}


def _time(at_ms: int) -> str:
    # Beyond 13 digits a time would sort wrongly; what lies there is after everything and before nothing.
    return f"{min(max(at_ms, 0), 9_999_999_999_999):013d}"
