"""What hours came to in S3, beside the archive: one small object of JSON for each hour in which tasks ended.

Failure policy: an error to the caller. What is kept can be made again from the archive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.models import canonical_json
from flotilla.ports import RunSync
from flotilla.primitives.usage_hour import UsageHour
from flotilla.primitives.usage_keys import USAGE, after_hour, hour_in, usage_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_WHOLE_UNTIL = f"{USAGE}whole.json"
_NOT_THERE = frozenset({"NoSuchKey", "404"})


class S3UsageHours:
    """`UsageHours` in the archive's bucket. It takes the right to list what begins with `usage/`.

    Args:
        client_factory: Makes (or returns the cached) S3 client.
        bucket: Name of the bucket.
        run_sync: Runs the client's blocking calls.
        page_keys: How many keys are asked for at once.
    """

    def __init__(
        self, client_factory: Callable[[], S3Client], bucket: str, run_sync: RunSync, *, page_keys: int = 1000
    ) -> None:
        self._client_factory = client_factory
        self._bucket = bucket
        self._run_sync = run_sync
        self._page_keys = page_keys

    async def put(self, hour: UsageHour) -> None:
        """See `UsageHours.put`."""
        await self._run_sync(self._put, usage_key(hour.begins_ms), hour.to_json())

    async def get(self, begins_ms: int) -> UsageHour | None:
        """See `UsageHours.get`."""
        return await self._run_sync(self._hour, usage_key(begins_ms))

    async def begun(self, since_ms: int, until_ms: int) -> Sequence[int]:
        """See `UsageHours.begun`."""
        return await self._run_sync(self._begun, since_ms, until_ms)

    async def whole_until(self) -> int | None:
        """See `UsageHours.whole_until`."""
        found = await self._run_sync(self._get, _WHOLE_UNTIL)
        return int(found["until_ms"]) if isinstance(found, dict) and "until_ms" in found else None

    async def set_whole_until(self, until_ms: int) -> None:
        """See `UsageHours.set_whole_until`."""
        await self._run_sync(self._put, _WHOLE_UNTIL, {"until_ms": until_ms})

    def _hour(self, key: str) -> UsageHour | None:
        found = self._get(key)
        try:
            return None if found is None else UsageHour.from_json(found)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None  # of another version, or altered: it will be made again

    def _get(self, key: str) -> Any:
        try:
            return json.loads(self._client_factory().get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NOT_THERE:
                return None
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        except ValueError:
            return None

    def _put(self, key: str, value: dict[str, Any]) -> None:
        try:
            self._client_factory().put_object(
                Bucket=self._bucket, Key=key, Body=canonical_json(value).encode(), ContentType="application/json"
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error

    def _begun(self, since_ms: int, until_ms: int) -> list[int]:
        found: list[int] = []
        after = after_hour(since_ms, USAGE)
        try:
            while True:
                page = self._client_factory().list_objects_v2(
                    Bucket=self._bucket, Prefix=USAGE, StartAfter=after, MaxKeys=self._page_keys
                )
                keys = [content["Key"] for content in page.get("Contents", [])]
                hours = [hour_in(key) for key in keys]
                found += [hour for hour in hours if hour is not None and since_ms <= hour < until_ms]
                if not page.get("IsTruncated") or not keys or (hours[-1] is not None and hours[-1] >= until_ms):
                    return found
                after = keys[-1]
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the archive did not answer", code="archive_unavailable")
