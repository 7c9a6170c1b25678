"""The archive of finished logs in S3: many logs to an object, which is written once.

Failure policy: an error to the caller. Nothing refers to an object before it is surely there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.events import Event
from flotilla.events.archive_file import logs_in, pack
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger("flotilla.archive")

_NOT_THERE = frozenset({"NoSuchKey", "AccessDenied", "404", "403"})
"""What S3 says of an object that is not there; without the right to list, that is "access denied"."""


class S3Archive:
    """`Archive` over one bucket.

    Args:
        client_factory: Makes (or returns the cached) S3 client.
        bucket: Name of the bucket.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client_factory: Callable[[], S3Client], bucket: str, run_sync: RunSync) -> None:
        self._client_factory = client_factory
        self._bucket = bucket
        self._run_sync = run_sync

    async def put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
        """See `Archive.put`."""
        await self._run_sync(self._put, key, logs)

    async def get(self, key: str, task_id: str) -> list[Event]:
        """See `Archive.get`."""
        return await self._run_sync(self._get, key, task_id)

    def _put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
        try:
            self._client_factory().put_object(
                Bucket=self._bucket, Key=key, Body=pack(logs), ContentType="application/gzip"
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error

    def _get(self, key: str, task_id: str) -> list[Event]:
        try:
            content = self._client_factory().get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _NOT_THERE:
                raise _unavailable() from error
            # Its time is over: it was written before anything referred to it.
            logger.warning("archived logs are not there", extra={"key": key})
            return []
        except BotoCoreError as error:
            raise _unavailable() from error
        return logs_in(content).get(task_id, [])


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the archive did not answer", code="archive_unavailable")
