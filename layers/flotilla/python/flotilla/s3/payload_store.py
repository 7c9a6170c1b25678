"""Large inputs and outputs in S3.

The client is made on first use: most tasks never need it, and a third client costs every cold
start some 50 ms.

Failure policy: closed. A payload that cannot be stored or read is a retryable error. An outage is told from a payload
that is gone: who waits for the one must not wait for the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DENIED = frozenset({"AccessDenied", "403"})


class S3PayloadStore:
    """`PayloadStore` over one bucket.

    Args:
        client_factory: Makes (or returns the cached) S3 client.
        bucket: Name of the bucket.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client_factory: Callable[[], S3Client], bucket: str, run_sync: RunSync) -> None:
        self._client_factory = client_factory
        self._bucket = bucket
        self._run_sync = run_sync

    async def put(self, key: str, content: bytes) -> None:
        """See `PayloadStore.put`."""
        await self._run_sync(self._put, key, content)

    async def get(self, key: str) -> bytes:
        """See `PayloadStore.get`."""
        return await self._run_sync(self._get, key)

    def _put(self, key: str, content: bytes) -> None:
        try:
            self._client_factory().put_object(
                Bucket=self._bucket, Key=key, Body=content, ContentType="application/json"
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error

    def _get(self, key: str) -> bytes:
        client = self._client_factory()
        try:
            return client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except client.exceptions.NoSuchKey as error:
            raise _missing() from error
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _DENIED and self._is_missing(key):
                raise _missing() from error
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error

    def _is_missing(self, key: str) -> bool:
        """Whether an object that S3 denied is not there.

        Who may not list a bucket is denied what is missing in it as well as what he may not read. So he asks for what
        there is by that whole name, which is all that a role may list.
        """
        try:
            return not self._client_factory().list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)["KeyCount"]
        except (ClientError, BotoCoreError):
            return False


def _missing() -> RetryableError:
    return RetryableError("a stored payload is not there", code="payload_missing")


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the payload store did not answer", code="payloads_unavailable")
