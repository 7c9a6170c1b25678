"""One-time schedules on EventBridge Scheduler."""

from __future__ import annotations

import asyncio
import calendar
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest

from flotilla.errors import StoreUnavailableError
from flotilla.models import TaskMessage, canonical_json
from flotilla.scheduler.schedules import EventBridgeSchedules, schedule_name
from flotilla.services.claim_check import ClaimCheck
from stacks.settings_model import Payloads
from tests.contracts.schedules import AT_MS, LATER, Scheduled, SchedulesContract, put
from tests.fakes import MemoryPayloadStore, run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable
from tests.integration.adapters.conftest import ONCE

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

GROUP = "fleet"
ROLE_ARN = "arn:aws:iam::000000000000:role/fleet-schedules"
LARGEST_INPUT_BYTES = 256_000
"""What EventBridge Scheduler takes, in the stricter reading of its 256 KB."""

TARGET_ARN = "arn:aws:sqs:eu-central-1:000000000000:fleet-delay-1.fifo"


@pytest.fixture(scope="module")
def scheduler(aws: boto3.Session) -> EventBridgeSchedulerClient:
    return aws.client("scheduler", config=ONCE)


@pytest.fixture
def schedules(scheduler: EventBridgeSchedulerClient) -> Iterator[EventBridgeSchedules]:
    scheduler.create_schedule_group(Name=GROUP)
    yield EventBridgeSchedules(
        lambda: scheduler, group=GROUP, role_arn=ROLE_ARN, target_arn=TARGET_ARN, run_sync=run_on_thread
    )
    for found in scheduler.list_schedules(GroupName=GROUP)["Schedules"]:
        scheduler.delete_schedule(Name=found["Name"], GroupName=GROUP)
    scheduler.delete_schedule_group(Name=GROUP)


class TestEventBridgeSchedules(SchedulesContract):
    """The contract, as EventBridge Scheduler keeps schedules."""

    @pytest.fixture
    def scheduled(self, scheduler: EventBridgeSchedulerClient) -> Scheduled:
        def waiting() -> list[tuple[TaskMessage, int]]:
            found = []
            for name in [each["Name"] for each in scheduler.list_schedules(GroupName=GROUP)["Schedules"]]:
                schedule = scheduler.get_schedule(Name=name, GroupName=GROUP)
                at = time.strptime(schedule["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)")
                body = schedule["Target"]["Input"]
                assert "<aws.scheduler" not in body
                found.append((TaskMessage.from_body(body), calendar.timegm(at) * 1000))
            return found

        return waiting


def test_a_schedule_fires_once_in_utc_into_the_queue_and_is_deleted_then(
    scheduler: EventBridgeSchedulerClient, schedules: EventBridgeSchedules
) -> None:
    put(schedules, LATER)
    found = scheduler.get_schedule(Name="tsk_1-0", GroupName=GROUP)
    assert found["ScheduleExpression"] == "at(2027-01-15T08:00:00)"
    assert found["ScheduleExpressionTimezone"] == "UTC"
    assert found["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert found["ActionAfterCompletion"] == "DELETE"
    assert found["Target"]["Arn"] == TARGET_ARN
    assert found["Target"]["RoleArn"] == ROLE_ARN
    assert found["Target"]["SqsParameters"] == {"MessageGroupId": "tsk_1"}


def test_a_schedule_is_one_call(scheduler: EventBridgeSchedulerClient, schedules: EventBridgeSchedules) -> None:
    with requests_of(scheduler, "CreateSchedule") as made, requests_of(scheduler, "DeleteSchedule") as removed:
        put(schedules, LATER)
        asyncio.run(schedules.remove("tsk_1", 0))
    assert (len(made), len(removed)) == (1, 1)


def test_no_client_is_made_before_there_is_something_to_schedule() -> None:
    def refuse() -> EventBridgeSchedulerClient:
        raise AssertionError("nothing was to be scheduled")

    EventBridgeSchedules(refuse, group=GROUP, role_arn=ROLE_ARN, target_arn=TARGET_ARN, run_sync=run_on_thread)


@pytest.mark.parametrize("task_id", ["tsk_" + "0" * 32, "x" * 200, "größe", "a/b", ""])
def test_a_name_is_one_that_the_scheduler_takes_and_differs_for_each_state(task_id: str) -> None:
    names = [schedule_name(task_id, seq) for seq in (0, 1, 10**9)]
    assert len(set(names)) == 3
    assert all(0 < len(name) <= 64 and name.isascii() and "/" not in name for name in names)


def test_a_put_that_fails_is_retryable(scheduler: EventBridgeSchedulerClient, schedules: EventBridgeSchedules) -> None:
    for code in [*ERRORS, "ServiceQuotaExceededException", "InternalServerException"]:
        with answering_with(scheduler, "create_schedule", code), pytest.raises(StoreUnavailableError) as putting:
            put(schedules, LATER)
        assert putting.value.code == "scheduler_unavailable"
    with unreachable(scheduler, "CreateSchedule"), pytest.raises(StoreUnavailableError):
        put(schedules, LATER)


def test_a_put_whose_answer_was_lost_may_be_repeated(
    scheduler: EventBridgeSchedulerClient, schedules: EventBridgeSchedules
) -> None:
    with answers_lost(scheduler, "CreateSchedule"), pytest.raises(StoreUnavailableError):
        put(schedules, LATER, at_ms=AT_MS)
    put(schedules, LATER)
    assert len(scheduler.list_schedules(GroupName=GROUP)["Schedules"]) == 1


def test_a_schedule_that_cannot_be_removed_is_left_to_fire(
    scheduler: EventBridgeSchedulerClient, schedules: EventBridgeSchedules
) -> None:
    put(schedules, LATER)
    for code in ERRORS:
        with answering_with(scheduler, "delete_schedule", code):
            asyncio.run(schedules.remove("tsk_1", 0))
    with unreachable(scheduler, "DeleteSchedule"):
        asyncio.run(schedules.remove("tsk_1", 0))
    assert len(scheduler.list_schedules(GroupName=GROUP)["Schedules"]) == 1


@pytest.mark.parametrize("character", ["<", "\x7f", "ä", "€", "\N{CROISSANT}", '"', "\x00", "x"])
def test_the_largest_message_fits_a_schedule(
    schedules: EventBridgeSchedules, scheduler: EventBridgeSchedulerClient, character: str
) -> None:
    (largest,) = [each.le for each in Payloads.model_fields["inline_bytes"].metadata if hasattr(each, "le")]
    room = largest - len(canonical_json(""))
    value = character * (room // (len(canonical_json(character).encode()) - 2))
    claim_check = ClaimCheck(MemoryPayloadStore(), inline_bytes=largest)
    payload = asyncio.run(claim_check.check_in("t" * 256, LATER.task_id, value))
    assert payload.ref is None, "it is part of the message"
    message = replace(
        LATER,
        input=payload,
        tenant="\N{CROISSANT}" * 256,
        agent="a" * 128,
        agent_version="v" * 64,
        lane="l" * 64,
        trace="r" * 512,
        deadline_ms=10**15,
    )
    with requests_of(scheduler, "CreateSchedule") as requests:
        put(schedules, message)
    (target,) = [request["Target"]["Input"] for request in requests]
    assert len(target.encode()) <= LARGEST_INPUT_BYTES
    assert TaskMessage.from_body(target) == message
