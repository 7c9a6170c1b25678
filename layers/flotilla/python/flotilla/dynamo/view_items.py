"""The items of the `views` table: their keys, and entries to items and back.

    pk TASKS#{tenant}#{shard}     sk {created_at_ms:013d}#{task_id}    a task's entry
       attention_pk STATUS#{tenant}#{status}                           in statuses that are the exception
       attention_sk (as sk)
       dead_pk DEAD#{agent}, dead_sk {finished_at_ms:013d}#{task_id}   while dead-lettered
       watch_pk WATCH#{shard}, watch_sk {look_at_ms:013d}#{task_id}    while the reconciler looks after it
       run_pk RUN#{tenant}#{run}, run_sk (as sk)                       of a task that a workflow asked for
       run_pk RUNS#{tenant}, run_sk (as sk)                            of a run of a workflow
    pk UNREADABLE                 sk {message_id}                      a message that stands for no task
       dead_pk DEAD#~unreadable, dead_sk {received_at_ms:013d}#{message_id}
    pk TENANTS                    sk {tenant}                          a tenant that has entries
    pk DEAD-AGENTS                sk {agent}                           an agent that had dead letters

What is missing is not stored, and no index has an item that lacks its keys: a task that meets no trouble is one item
below one write unit, in no index.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

from flotilla.models import Status
from flotilla.primitives.cause import unreadable_cause
from flotilla.primitives.cursor import position
from flotilla.read_model import UNREADABLE, Cause, Entry, Spent, UnreadableMessage

Item = dict[str, Any]

SHARDS = 4
"""A partition takes 1,000 writes a second; so a tenant's entries lie in several."""

ATTENTION = frozenset(
    {
        Status.SCHEDULED,
        Status.RETRYING,
        Status.PARKED,
        Status.WAITING,
        Status.DEAD_LETTERED,
        Status.CANCELLED,
        Status.EXPIRED,
    }
)
"""Statuses that are the exception: found through an index. All others are found by going through the entries."""

TENANTS = "TENANTS"
DEAD_AGENTS = "DEAD-AGENTS"
UNREADABLE_MESSAGES = "UNREADABLE"

_MAX_BODY_BYTES = 300_000
"""Of an unreadable message, compressed: an item has 400 KB at the most."""

_CUT_CHARACTERS = 30_000
_DAY_SECONDS = 86_400
_AHEAD_DAYS = 3
"""DynamoDB drops an item within two days after its time."""


def shard_of(task_id: str) -> int:
    """Which of a tenant's partitions a task's entry lies in."""
    return hashlib.sha256(task_id.encode()).digest()[0] % SHARDS


def task_partition(tenant: str, shard: int) -> str:
    """Partition key of a share of a tenant's entries; of one tenant only, since the shard is always one digit."""
    return f"TASKS#{tenant}#{shard}"


def attention_partition(tenant: str, status: Status) -> str:
    """Partition key of a tenant's entries in a status, in the index `attention`."""
    return f"STATUS#{tenant}#{status.value}"


def dead_partition(agent: str) -> str:
    """Partition key of an agent's dead letters, in the index `dead`."""
    return f"DEAD#{agent}"


def run_partition(tenant: str, run: str) -> str:
    """Partition key of the tasks of a run, in the index `run`; of one tenant only, since no run's id has a `#`."""
    return f"RUN#{tenant}#{run}"


def runs_partition(tenant: str) -> str:
    """Partition key of a tenant's runs, in the index `run`."""
    return f"RUNS#{tenant}"


WATCH_PARTITIONS = tuple(f"WATCH#{shard}" for shard in range(SHARDS))
"""Partition keys of the entries that are looked after, in the index `watch`."""


def watch_partition(task_id: str) -> str:
    """Which of them a task's entry is in."""
    return WATCH_PARTITIONS[shard_of(task_id)]


def key_of(tenant: str, task_id: str, created_at_ms: int) -> Item:
    """The key of a task's entry."""
    return {
        "pk": {"S": task_partition(tenant, shard_of(task_id))},
        "sk": {"S": position(created_at_ms, task_id)},
    }


def to_item(entry: Entry, kept_days: int) -> Item:
    """The item for `entry`.

    Args:
        entry: The entry.
        kept_days: How long the archive keeps a log. The entry of a task whose log is not archived stays.
    """
    item: Item = key_of(entry.tenant, entry.task_id, entry.created_at_ms)
    item |= {
        # Also in the key, but a key cannot be filtered by.
        "task_id": {"S": entry.task_id},
        "agent": {"S": entry.agent},
        "lane": {"S": entry.lane},
        "status": {"S": entry.status.value},
        "attempt": {"N": str(entry.attempt)},
        "head_seq": {"N": str(entry.head_seq)},
        "head_at_ms": {"N": str(entry.head_at_ms)},
    }
    if entry.head_hash:
        item["head_hash"] = {"B": bytes.fromhex(entry.head_hash)}
    for name in ("session", "message", "archive_key", "run", "step"):
        value = getattr(entry, name)
        if value is not None:
            item[name] = {"S": value}
    if entry.spent is not None:
        item["spent"] = {"L": [{"N": str(number)} for number in entry.spent]}
    if entry.next_at_ms is not None:
        item["next_at_ms"] = {"N": str(entry.next_at_ms)}
    if entry.cause is not None:
        item["cause"] = {"S": entry.cause.text}
        item["fingerprint"] = {"S": entry.cause.fingerprint}
    if entry.finished_at_ms is not None:
        item["finished_at_ms"] = {"N": str(entry.finished_at_ms)}
        if entry.archive_key is not None:
            # A little before the archive forgets the log, so that nothing is listed that cannot be read.
            days = max(kept_days - _AHEAD_DAYS, kept_days / 2)
            item["expires_at"] = {"N": str(int(entry.finished_at_ms / 1000 + days * _DAY_SECONDS))}
    return item | _index_keys(entry, item["sk"])


def _index_keys(entry: Entry, sort_key: Item) -> Item:
    keys: Item = {}
    if entry.status in ATTENTION:
        keys["attention_pk"] = {"S": attention_partition(entry.tenant, entry.status)}
        keys["attention_sk"] = sort_key
    if entry.status is Status.DEAD_LETTERED:
        died_at_ms = entry.head_at_ms if entry.finished_at_ms is None else entry.finished_at_ms
        keys["dead_pk"] = {"S": dead_partition(entry.agent)}
        keys["dead_sk"] = {"S": position(died_at_ms, entry.task_id)}
    if entry.look_at_ms is not None:
        keys["watch_pk"] = {"S": watch_partition(entry.task_id)}
        keys["watch_sk"] = {"S": position(entry.look_at_ms, entry.task_id)}
    if entry.run is not None:
        keys["run_pk"] = {"S": run_partition(entry.tenant, entry.run)}
        keys["run_sk"] = sort_key
    elif entry.is_run:
        keys["run_pk"] = {"S": runs_partition(entry.tenant)}
        keys["run_sk"] = sort_key
    return keys


def from_item(item: Item) -> Entry:
    """Read what `to_item` wrote.

    Raises:
        KeyError: A later version wrote it, in another way.
        ValueError: The same.
    """
    tenant = item["pk"]["S"].removeprefix("TASKS#").rpartition("#")[0]
    created_at_ms, _, task_id = item["sk"]["S"].partition("#")
    cause = Cause(item["fingerprint"]["S"], item["cause"]["S"]) if "fingerprint" in item else None
    watched = item.get("watch_sk", {}).get("S")
    return Entry(
        task_id=task_id,
        tenant=tenant,
        agent=item["agent"]["S"],
        lane=item["lane"]["S"],
        session=item.get("session", {}).get("S"),
        status=Status(item["status"]["S"]),
        attempt=int(item["attempt"]["N"]),
        created_at_ms=int(created_at_ms),
        head_seq=int(item["head_seq"]["N"]),
        head_at_ms=int(item["head_at_ms"]["N"]),
        head_hash=bytes(item["head_hash"]["B"]).hex() if "head_hash" in item else "",
        next_at_ms=_number(item, "next_at_ms"),
        finished_at_ms=_number(item, "finished_at_ms"),
        cause=cause,
        message=item.get("message", {}).get("S"),
        archive_key=item.get("archive_key", {}).get("S"),
        look_at_ms=None if watched is None else int(watched.partition("#")[0]),
        run=item.get("run", {}).get("S"),
        step=item.get("step", {}).get("S"),
        spent=_spent(item),
        is_run="run_pk" in item and "run" not in item,
    )


def _spent(item: Item) -> Spent | None:
    if "spent" not in item:
        return None
    return Spent(*(int(number["N"]) for number in item["spent"]["L"]))


def to_unreadable_item(message: UnreadableMessage, kept_days: int) -> Item:
    """The item for a message that stands for no task."""
    cause = unreadable_cause(message)
    body = zlib.compress(message.body.encode(errors="replace"), 6)
    cut = len(body) > _MAX_BODY_BYTES
    if cut:
        body = zlib.compress(message.body[:_CUT_CHARACTERS].encode(errors="replace"), 6)
    item: Item = {
        "pk": {"S": UNREADABLE_MESSAGES},
        "sk": {"S": message.message_id},
        "dead_pk": {"S": dead_partition(UNREADABLE)},
        "dead_sk": {"S": position(message.received_at_ms, message.message_id)},
        "lane": {"S": message.lane},
        "reason": {"S": message.reason},
        "body_z": {"B": body},
        "cause": {"S": cause.text},
        "fingerprint": {"S": cause.fingerprint},
        "expires_at": {"N": str(message.received_at_ms // 1000 + kept_days * _DAY_SECONDS)},
    }
    if cut:
        item["body_characters"] = {"N": str(len(message.body))}
    return item


def from_unreadable_item(item: Item) -> UnreadableMessage:
    """Read what `to_unreadable_item` wrote. The body of one that was too long ends in a note of how long it was.

    Raises:
        KeyError: A later version wrote it, in another way.
        ValueError: The same.
    """
    body = zlib.decompress(bytes(item["body_z"]["B"])).decode()
    if "body_characters" in item:
        body += f"… ({item['body_characters']['N']} characters)"
    return UnreadableMessage(
        message_id=item["sk"]["S"],
        lane=item["lane"]["S"],
        body=body,
        reason=item["reason"]["S"],
        received_at_ms=int(item["dead_sk"]["S"].partition("#")[0]),
    )


def _number(item: Item, name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None
