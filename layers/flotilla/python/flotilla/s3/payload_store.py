"""Large inputs and outputs in S3.

The client is made on first use: most tasks never need it, and a third client costs every cold
start some 50 ms.

Failure policy: closed. A payload that cannot be stored or read is a retryable error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


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
            raise StoreUnavailableError("the payload store did not answer", code="payloads_unavailable") from error

    def _get(self, key: str) -> bytes:
        client = self._client_factory()
        try:
            return client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except client.exceptions.NoSuchKey as error:
            raise RetryableError("a stored payload is not there", code="payload_missing") from error
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the payload store did not answer", code="payloads_unavailable") from error
