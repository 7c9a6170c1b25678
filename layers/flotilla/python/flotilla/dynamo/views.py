"""The read model in DynamoDB: one item for each task, replaced as its log grows.

Failure policy: an error to the caller, who decides. Nothing the fleet promises depends on this table: it can be made
again from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.dynamo.view_items import (
    DEAD_AGENTS,
    TENANTS,
    Item,
    from_item,
    key_of,
    shard_of,
    task_partition,
    to_item,
    to_unreadable_item,
)
from flotilla.dynamo.view_queries import Listed, Source, dead_sources, source_of_run, source_of_runs, sources_of
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.models import Status
from flotilla.ports import RunSync
from flotilla.primitives.cursor import cursor_after, place_of
from flotilla.primitives.newest_first import Stretch, together
from flotilla.read_model import (
    UNREADABLE,
    DeadFilter,
    Entry,
    EntryFilter,
    EntryPage,
    RunFilter,
    RunsFilter,
    UnreadableMessage,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_DAYS = 365

_ROUNDS = 2
"""Queries of each partition in one call: with a filter that little fits, a page is short rather than dear."""

_FOUND_WITHIN_PAGES = 2
"""Of 1 MB each, i.e. some 8,000 entries: what it may cost to look for a task by its id alone."""


class DynamoReadModel:
    """`ReadModel` over the `views` table (keys `pk`, `sk`; sparse indexes `attention`, `dead` and `run`).

    Reads are eventually consistent, at half the price: what is read is behind the log anyway.

    Args:
        client: A DynamoDB client.
        table: Name of the table.
        run_sync: Runs the client's blocking calls.
        kept_days: How long the archive keeps logs; matters to whoever puts entries that are archived.
    """

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync, *, kept_days: int = KEPT_DAYS) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync
        self._kept_days = kept_days
        self._registered: set[tuple[str, str]] = set()
        self._registering: dict[tuple[str, str], asyncio.Future[None]] = {}

    async def put(self, entry: Entry) -> bool:
        """See `ReadModel.put`."""
        # Before the entry: a tenant without entries is harmless, entries that nobody looks for are not.
        await self._register(TENANTS, entry.tenant)
        if entry.status is Status.DEAD_LETTERED:
            await self._register(DEAD_AGENTS, entry.agent)
        return await self._run_sync(self._put, entry)

    async def get(self, tenant: str, task_id: str, created_at_ms: int) -> Entry | None:
        """See `ReadModel.get`."""
        key = key_of(tenant, task_id, created_at_ms)
        page = await self._run_sync(
            self._query,
            {
                "KeyConditionExpression": "pk = :pk AND sk = :sk",
                "ExpressionAttributeValues": {":pk": key["pk"], ":sk": key["sk"]},
            },
        )
        return _entry(page["Items"][0]) if page["Items"] else None

    async def find(self, tenant: str, task_id: str, *, created_before_ms: int) -> Entry | None:
        """See `ReadModel.find`: looks through some 8,000 entries, of a quarter of the tenant's tasks."""
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk AND sk < :before",
            "FilterExpression": "task_id = :task",
            "ExpressionAttributeValues": {
                ":pk": {"S": task_partition(tenant, shard_of(task_id))},
                ":before": {"S": f"{created_before_ms:013d}"},
                ":task": {"S": task_id},
            },
            "ScanIndexForward": False,
        }
        for _ in range(_FOUND_WITHIN_PAGES):
            page = await self._run_sync(self._query, request)
            if page["Items"]:
                return _entry(page["Items"][0])
            if "LastEvaluatedKey" not in page:
                return None
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return None

    async def list(self, wanted: EntryFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """See `ReadModel.list`: looks at no more than 2,000 entries."""
        after = None if cursor is None else place_of(wanted, cursor)
        sources = sources_of(wanted, after)
        return await self._page(sources, limit, after, partial(cursor_after, wanted))

    async def dead(self, wanted: DeadFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """See `ReadModel.dead`: looks at no more than 500 entries of each agent."""
        after = None if cursor is None else place_of(wanted, cursor)
        agents = [UNREADABLE, *await self._members(DEAD_AGENTS)] if wanted.agent is None else [wanted.agent]
        sources = dead_sources(wanted, agents, after)
        return await self._page(sources, limit, after, partial(cursor_after, wanted))

    async def tasks_of_run(self, wanted: RunFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """See `ReadModel.tasks_of_run`."""
        after = None if cursor is None else place_of(wanted, cursor)
        return await self._page_of(source_of_run(wanted, after), limit, after, partial(cursor_after, wanted))

    async def runs(self, wanted: RunsFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """See `ReadModel.runs`."""
        after = None if cursor is None else place_of(wanted, cursor)
        return await self._page_of(source_of_runs(wanted, after), limit, after, partial(cursor_after, wanted))

    async def put_unreadable(self, message: UnreadableMessage) -> None:
        """See `ReadModel.put_unreadable`; of a body that does not fit, its first 30,000 characters are kept."""
        await self._run_sync(self._put_unreadable, message)

    async def tenants(self) -> Sequence[str]:
        """See `ReadModel.tenants`."""
        return await self._members(TENANTS)

    async def _page(
        self, sources: Sequence[Source], limit: int, after: str | None, cursor_of: Callable[[str], str]
    ) -> EntryPage:
        stretches: list[Stretch[Listed]] = [Stretch() for _ in sources]
        starts: list[Any] = [None for _ in sources]

        async def look(number: int) -> None:
            source, stretch = sources[number], stretches[number]
            page = await self._run_sync(self._query, source.request(limit, starts[number]))
            stretch.items += source.listed(page["Items"], after)
            starts[number] = page.get("LastEvaluatedKey")
            stretch.known_to = source.known_to(starts[number])

        items: list[Listed] = []
        known_to = ""
        for _ in range(_ROUNDS):
            await asyncio.gather(*(look(number) for number, stretch in enumerate(stretches) if not stretch.whole))
            items, known_to = together(stretches, _place, limit)
            if len(items) == limit or not known_to:
                break
        return EntryPage([listed.value for listed in items], cursor_of(known_to) if known_to else None)

    async def _page_of(
        self, source: Source, limit: int, after: str | None, cursor_of: Callable[[str], str]
    ) -> EntryPage:
        """A page of one partition, in the order in which it is read."""
        items: list[Listed] = []
        start: Any = None
        for _ in range(_ROUNDS):
            page = await self._run_sync(self._query, source.request(limit - len(items), start))
            items += source.listed(page["Items"], after)
            start = page.get("LastEvaluatedKey")
            if start is None or len(items) >= limit:
                break
        end = items[limit - 1].place if len(items) > limit else source.known_to(start)
        return EntryPage([listed.value for listed in items[:limit]], cursor_of(end) if end else None)

    async def _register(self, registry: str, name: str) -> None:
        """Have `name` in a registry; written once by each process that meets it."""
        member = (registry, name)
        if member in self._registered:
            return
        if member not in self._registering:
            item = {"pk": {"S": registry}, "sk": {"S": name}}
            self._registering[member] = asyncio.ensure_future(self._run_sync(self._put_item, item))
        writing = self._registering[member]
        try:
            await asyncio.shield(writing)
        finally:
            self._registering.pop(member, None)
        self._registered.add(member)

    async def _members(self, registry: str) -> Sequence[str]:
        return await self._run_sync(self._read_members, registry)

    def _read_members(self, registry: str) -> Sequence[str]:
        found: Sequence[str] = []
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": registry}},
        }
        while True:
            page = self._query(request)
            found = [*found, *(item["sk"]["S"] for item in page["Items"])]
            if "LastEvaluatedKey" not in page:
                return found
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _put(self, entry: Entry) -> bool:
        # There is no entry of the task yet,
        condition = "attribute_not_exists(pk)"
        # or the one there follows the log less far,
        condition += " OR head_seq < :head_seq"
        if entry.archive_key is not None:
            # or as far, and does not say where it is archived.
            condition += " OR (head_seq = :head_seq AND attribute_not_exists(archive_key))"
        try:
            self._put_item(
                to_item(entry, self._kept_days),
                ConditionExpression=condition,
                ExpressionAttributeValues={":head_seq": {"N": str(entry.head_seq)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _put_unreadable(self, message: UnreadableMessage) -> None:
        try:
            # It was not kept before.
            self._put_item(to_unreadable_item(message, self._kept_days), ConditionExpression="attribute_not_exists(pk)")
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _put_item(self, item: Item, **request: Any) -> None:
        try:
            self._client.put_item(TableName=self._table, Item=item, **request)
        except self._client.exceptions.ConditionalCheckFailedException:
            raise
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error

    def _query(self, request: dict[str, Any]) -> Any:
        try:
            return self._client.query(TableName=self._table, **request)
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error


def _place(listed: Listed) -> str:
    return listed.place


def _entry(item: Item) -> Entry:
    try:
        return from_item(item)
    except (KeyError, ValueError) as error:
        raise RetryableError("an entry of another version", code="entry_of_later_version") from error


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the read model did not answer", code="views_unavailable")
