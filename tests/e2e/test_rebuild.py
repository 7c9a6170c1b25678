"""`flotilla rebuild` on a fleet at work: entries that were deleted or altered say again what the logs say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.view_items import from_item
from flotilla.events import Event
from flotilla.models import Status
from flotilla.services.project import entry_of_log
from tests.e2e.command import Command
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.waiting import eventually
from tests.fakes import run_on_thread
from tests.unit.services.fleet import run


class Stores:
    """The tables of the deployed fleet."""

    def __init__(self, engine: Engine) -> None:
        self.dynamodb = engine.client("dynamodb")
        self.events, self.views = engine.info.outputs["EventsTable"], engine.info.outputs["ViewsTable"]

    def log(self, task_id: str) -> list[Event]:
        return run(DynamoEventLog(self.dynamodb, self.events, 1, run_on_thread).read(task_id))

    def items(self, task_ids: set[str]) -> dict[str, dict[str, Any]]:
        """The items of these tasks' entries."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.views, ConsistentRead=True)
        found = {item["task_id"]["S"]: item for page in pages for item in page["Items"] if "task_id" in item}
        return {task_id: found[task_id] for task_id in task_ids & found.keys()}

    def followed(self, task_ids: set[str]) -> dict[str, dict[str, Any]] | None:
        """The items, once each says all that its log does, and where it is archived if it has ended."""
        items = self.items(task_ids)
        if items.keys() != task_ids:
            return None
        for task_id, item in items.items():
            entry, told = from_item(item), entry_of_log(self.log(task_id))
            if entry.head_seq != told.head_seq or told.status.terminal != (entry.archive_key is not None):
                return None
        return items

    def delete(self, item: dict[str, Any]) -> None:
        self.dynamodb.delete_item(TableName=self.views, Key={"pk": item["pk"], "sk": item["sk"]})

    def alter(self, item: dict[str, Any], **changes: Any) -> None:
        self.dynamodb.put_item(TableName=self.views, Item=item | changes)

    def drop_log(self, task_id: str) -> None:
        for event in self.log(task_id):
            key = {"task_id": {"S": task_id}, "seq": {"N": str(event.seq)}}
            self.dynamodb.delete_item(TableName=self.events, Key=key)


def test_entries_say_again_what_the_logs_say_while_the_fleet_works(engine: Engine, tenant: FleetClient) -> None:
    stores, command = Stores(engine), Command(engine.info)
    with ThreadPoolExecutor(8) as pool:
        done = [str(task["id"]) for task in pool.map(lambda n: tenant.run("diagnostics.echo", {"value": n}), range(6))]
        failed = str(tenant.run("diagnostics.flaky", {"fail_attempts": 9, "error": "permanent"})["id"])
        later = tenant.accepted("diagnostics.echo", {"value": 1}, delay_seconds=7200)
        everything = {*done, failed, later}
        before = eventually(lambda: stores.followed(everything), "the read model")

        stores.delete(before[done[0]])
        stores.delete(before[done[1]])
        stores.drop_log(done[1])
        stores.drop_log(done[2])
        stores.alter(before[done[3]], status={"S": "cancelled"}, lane={"S": "nowhere"}, head_hash={"B": b"\x00"})
        stores.alter(before[done[4]], head_seq={"N": "99"}, archive_key={"S": "archive/nowhere"})
        stores.alter(before[failed], dead_pk={"S": "DEAD#nobody"}, agent={"S": "nobody"})
        stores.delete(before[later])

        meanwhile = [pool.submit(tenant.run, "diagnostics.steps", {"count": 3}) for _ in range(20)]
        tally = command.json("rebuild")
        new = {str(work.result()["id"]) for work in meanwhile}

    assert stores.items(everything) == before
    assert done[4] in tally["set_back"]
    assert not {*tally["failed"], *tally["set_back"]} & {*new, *done[:4], failed, later}
    assert tally["stored"] >= 6
    for item in eventually(lambda: stores.followed(new), "the read model").values():
        assert from_item(item).status is Status.SUCCEEDED
    again = command.json("rebuild")
    assert not {*again["set_back"], *again["failed"]} & {*new, *everything}
    assert stores.items(everything) == before
    tenant.http.post(f"/v1/tasks/{later}/cancel").raise_for_status()
