"""Every object of the archive, for a rebuild of the read model.

Failure policy: an error to the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.events import Event
from flotilla.events.archive_file import logs_in
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PREFIX = "archive/"
_MOST_KEYS = 1000
_NOT_THERE = frozenset({"NoSuchKey", "404"})


class S3ArchiveScan:
    """`ArchiveScan` over the archive's bucket. It takes the right to list the bucket.

    Args:
        client_factory: Makes (or returns the cached) S3 client.
        bucket: Name of the bucket.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client_factory: Callable[[], S3Client], bucket: str, run_sync: RunSync) -> None:
        self._client_factory = client_factory
        self._bucket = bucket
        self._run_sync = run_sync

    async def keys(self, after: str | None, *, limit: int) -> list[str]:
        """See `ArchiveScan.keys`; no more than 1,000."""
        return await self._run_sync(self._keys, after, min(limit, _MOST_KEYS))

    async def logs(self, key: str) -> list[list[Event]]:
        """See `ArchiveScan.logs`."""
        content = await self._run_sync(self._content, key)
        return [] if content is None else list(logs_in(content).values())

    def _keys(self, after: str | None, limit: int) -> list[str]:
        try:
            page = self._client_factory().list_objects_v2(
                Bucket=self._bucket, Prefix=_PREFIX, MaxKeys=limit, StartAfter=after or ""
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error
        return [content["Key"] for content in page.get("Contents", [])]

    def _content(self, key: str) -> bytes | None:
        try:
            return self._client_factory().get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NOT_THERE:
                return None
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the archive did not answer", code="archive_unavailable")
