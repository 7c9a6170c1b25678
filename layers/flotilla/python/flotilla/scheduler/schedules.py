"""One-time schedules on EventBridge Scheduler, which send a message into the delay ladder at its time.

    put ────────────── at ──────── fires, within a minute ──── the ladder ──── due
                        ^                     ^
         a lead before the message is due     the schedule deletes itself

A schedule's name is made of the task and the event it follows, so the same state of a task has one
schedule however often it is put.

Failure policy: closed when a schedule is made, since a task without one would be late; open when one
is removed, since what fires all the same finds the log and does nothing.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.models import TaskMessage
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-zA-Z._-]{1,64}")


class EventBridgeSchedules:
    """`Schedules` on EventBridge Scheduler.

    Args:
        client_factory: Makes or returns the client; asked on first use, since most tasks need no schedule.
        group: Name of the schedule group.
        role_arn: The role by which the scheduler sends.
        target_arn: The FIFO queue it sends to. It deduplicates by content: what is sent this way
            carries no deduplication id.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(
        self,
        client_factory: Callable[[], EventBridgeSchedulerClient],
        *,
        group: str,
        role_arn: str,
        target_arn: str,
        run_sync: RunSync,
    ) -> None:
        self._client_factory = client_factory
        self._group = group
        self._role_arn = role_arn
        self._target_arn = target_arn
        self._run_sync = run_sync

    async def put(self, message: TaskMessage, at_ms: int) -> None:
        """See `Schedules.put`."""
        await self._run_sync(self._put, message, at_ms)

    async def remove(self, task_id: str, seq: int) -> None:
        """See `Schedules.remove`."""
        await self._run_sync(self._remove, schedule_name(task_id, seq))

    def _put(self, message: TaskMessage, at_ms: int) -> None:
        client = self._client_factory()
        try:
            client.create_schedule(
                Name=schedule_name(message.task_id, message.seq),
                GroupName=self._group,
                ScheduleExpression=f"at({time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at_ms // 1000))})",
                ScheduleExpressionTimezone="UTC",
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={
                    "Arn": self._target_arn,
                    "RoleArn": self._role_arn,
                    "Input": _literal(message.to_body()),
                    "SqsParameters": {"MessageGroupId": message.task_id},
                },
            )
        except client.exceptions.ConflictException:
            return  # an earlier put of the same state made it, and its answer was lost or its caller died
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the scheduler did not answer", code="scheduler_unavailable") from error

    def _remove(self, name: str) -> None:
        client = self._client_factory()
        try:
            client.delete_schedule(Name=name, GroupName=self._group)
        except client.exceptions.ResourceNotFoundException:
            return  # it has fired, or there never was one
        except (ClientError, BotoCoreError) as error:
            logger.warning("schedule not removed", extra={"schedule": name, "error": str(error)})


def schedule_name(task_id: str, seq: int) -> str:
    """The name of the schedule for what follows the task's event `seq`; at most 64 characters."""
    name = f"{task_id}-{seq}"
    return name if _NAME.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()


def _literal(body: str) -> str:
    """`body` in other words of the same meaning, in which the scheduler finds no keyword of its own.

    It replaces `<aws.scheduler.…>` wherever that stands, in what a client submitted too. JSON has the
    sign within strings only, where it may be written as an escape.
    """
    return body.replace("<", "\\u003c")
