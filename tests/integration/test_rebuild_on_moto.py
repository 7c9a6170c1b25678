"""`flotilla rebuild` on the tables themselves, found by what the projector is told: the way it goes on AWS."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import boto3
import pytest

from cli.__main__ import main
from cli.connection import Connection
from cli.parser import parser
from cli.rebuild import rebuild as rebuild_command
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.retention_ledger import REMEMBERED, DynamoRetentionLedger
from flotilla.dynamo.view_items import to_item
from flotilla.dynamo.views import DynamoReadModel
from flotilla.events import Event, Kind, verify_chain
from flotilla.models import Status
from flotilla.read_model import DeadFilter, Entry, EntryFilter
from flotilla.runtime import clients
from flotilla.s3.archive import S3Archive
from flotilla.services.archive_logs import LogArchiver
from flotilla.services.project import Projector, entry_of_log
from tests.fakes import ManualClock, run_on_thread
from tests.integration.conftest import FleetOnMoto
from tests.logs import log_of
from tests.unit.services.fleet import run

ON_AWS = Connection("https://fleet.example", "flt_key", "flt_key", from_environment=True)
ARCHIVE_DAYS = 365
RETENTION_DAYS = 30


@pytest.fixture
def projector_function(fleet: FleetOnMoto) -> None:
    role = boto3.client("iam").create_role(RoleName="projector", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "")
    boto3.client("lambda").create_function(
        FunctionName="fleet-projector",
        Runtime="python3.13",
        Role=role,
        Handler="handler.handler",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": fleet.environment() | {"FLOTILLA_ARCHIVE_DAYS": str(ARCHIVE_DAYS)}},
    )


class Projected:
    """Logs in the table, what the projector made of them, and what is done to that."""

    def __init__(self, fleet: FleetOnMoto) -> None:
        dynamodb = clients.dynamodb()
        self.fleet = fleet
        self.log = DynamoEventLog(dynamodb, fleet.events_table, RETENTION_DAYS, run_on_thread)
        self.views = DynamoReadModel(dynamodb, fleet.views_table, run_on_thread, kept_days=ARCHIVE_DAYS)
        self.archive = S3Archive(clients.s3, fleet.archive_bucket, run_on_thread)
        self.projector = Projector(
            log=self.log,
            views=self.views,
            archiver=LogArchiver(self.archive),
            ledger=DynamoRetentionLedger(dynamodb, fleet.views_table, run_on_thread),
            retention_days=RETENTION_DAYS,
        )

    def follow(self, *logs: list[Event]) -> None:
        async def write() -> None:
            for log in logs:
                for event in log:
                    await self.log.append(event)
            await self.projector.project([event for log in logs for event in log])

        run(write())

    def items(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Everything in the table of the read model, by its key, but for what the retention keeper is told."""
        found = clients.dynamodb().scan(TableName=self.fleet.views_table, ConsistentRead=True)["Items"]
        return {(item["pk"]["S"], item["sk"]["S"]): dict(item) for item in found if item["pk"]["S"] != REMEMBERED}

    def put(self, item: dict[str, Any]) -> None:
        clients.dynamodb().put_item(TableName=self.fleet.views_table, Item=item)

    def empty(self) -> None:
        for pk, sk in self.items():
            clients.dynamodb().delete_item(TableName=self.fleet.views_table, Key={"pk": {"S": pk}, "sk": {"S": sk}})

    def drop(self, log: list[Event], *seqs: int) -> None:
        for seq in seqs:
            key = {"task_id": {"S": log[0].task_id}, "seq": {"N": str(seq)}}
            clients.dynamodb().delete_item(TableName=self.fleet.events_table, Key=key)

    def entries(self) -> list[Entry]:
        page = run(self.views.list(EntryFilter("acme"), limit=100, cursor=None))
        assert page.next_cursor is None
        return [entry for entry in page.items if isinstance(entry, Entry)]


@pytest.fixture
def projected(fleet: FleetOnMoto, projector_function: None) -> Projected:
    return Projected(fleet)


def rebuild(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    assert main(["rebuild", "--fleet", "fleet", "--json", *arguments], connection=ON_AWS) == status
    tally: dict[str, Any] = json.loads(capsys.readouterr().out)
    return tally


def some_logs() -> list[list[Event]]:
    return [
        log_of(task_id="tsk_queued"),
        log_of(Kind.STARTED, Kind.ATTEMPT_FAILED, task_id="tsk_retrying"),
        log_of(Kind.STARTED, Kind.STEP_RECORDED, task_id="tsk_running"),
        log_of(Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_succeeded"),
        log_of(Kind.STARTED, Kind.DEAD_LETTERED, task_id="tsk_dead"),
        log_of(Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_again"),
        *(log_of(Kind.STARTED, Kind.SUCCEEDED, task_id=f"tsk_{number}") for number in range(25)),
    ]


def test_a_table_that_is_empty_becomes_what_it_was(projected: Projected, capsys: pytest.CaptureFixture[str]) -> None:
    logs = some_logs()
    projected.follow(*logs)
    before = projected.items()
    gone = logs[3], logs[10]
    for log in gone:
        projected.drop(log, 0, 1, 2)
    projected.drop(logs[4], 2)
    projected.empty()
    tally = rebuild(capsys)
    assert projected.items() == before
    # What is both live and archived is read twice.
    finished = [log for log in logs if entry_of_log(log).status.terminal]
    assert (tally["set_back"], tally["failed"]) == ([], [])
    assert tally["logs"] == len(logs) + len(finished) - len(gone)
    assert tally["stored"] == len(logs)
    again = rebuild(capsys)
    assert again == tally | {"stored": 0}
    assert projected.items() == before


def test_entries_that_were_altered_say_again_what_the_logs_say(
    projected: Projected, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = some_logs()
    projected.follow(*logs)
    before = projected.items()
    for entry in projected.entries():
        altered = replace(entry, status=Status.CANCELLED, lane="nowhere", archive_key="archive/nowhere", head_hash="00")
        if entry.task_id in ("tsk_queued", "tsk_dead", "tsk_7"):
            altered = replace(altered, head_seq=9)
        projected.put(to_item(altered, ARCHIVE_DAYS))
    tally = rebuild(capsys)
    assert projected.items() == before
    assert tally["stored"] == len(logs)
    assert tally["set_back"] == ["tsk_7", "tsk_dead", "tsk_queued"]
    dead = run(projected.views.dead(DeadFilter(), limit=9, cursor=None)).items
    assert [entry.task_id for entry in dead if isinstance(entry, Entry)] == ["tsk_dead"]
    for entry in projected.entries():
        if entry.archive_key is not None:
            archived = run(projected.archive.get(entry.archive_key, entry.task_id))
            verify_chain(archived)
            assert entry_of_log(archived).head_hash == entry.head_hash


def test_the_archive_can_be_left_alone(projected: Projected, capsys: pytest.CaptureFixture[str]) -> None:
    logs = some_logs()
    projected.follow(*logs)
    projected.drop(logs[3], 0, 1, 2)
    projected.empty()
    tally = rebuild(capsys, "--live")
    assert (tally["objects"], tally["logs"]) == (0, len(logs) - 1)
    assert {entry.task_id for entry in projected.entries()} == {log[0].task_id for log in logs} - {"tsk_succeeded"}


def test_what_cannot_be_read_is_named(projected: Projected, capsys: pytest.CaptureFixture[str]) -> None:
    logs = some_logs()
    projected.follow(*logs)
    clients.s3().put_object(Bucket=projected.fleet.archive_bucket, Key="archive/broken.jsonl.gz", Body=b"?")
    projected.drop(logs[2], 1)
    assert rebuild(capsys, status=1)["failed"] == ["archive/broken.jsonl.gz", "tsk_running"]


def test_a_fleet_that_is_not_there_is_said_so(fleet: FleetOnMoto, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rebuild", "--fleet", "nowhere"], connection=ON_AWS) == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "nan"])
def test_a_rate_must_be_one(fleet: FleetOnMoto, rate: str) -> None:
    assert main(["rebuild", "--fleet", "fleet", "--rate", rate], connection=ON_AWS) == 2


def test_a_store_that_does_not_answer_is_said_so(projected: Projected, capsys: pytest.CaptureFixture[str]) -> None:
    projected.follow(log_of())
    clients.dynamodb().delete_table(TableName=projected.fleet.views_table)
    options = parser().parse_args(["rebuild", "--fleet", "fleet"])
    clock = ManualClock()
    before_ms = clock.now_ms()
    assert run(rebuild_command(options, ON_AWS, clock)) == 1
    assert clock.now_ms() - before_ms > 20_000
    assert "run it again" in capsys.readouterr().err
