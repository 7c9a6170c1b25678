"""Short-lived links to payloads that are too large to stand in an answer.

A link is signed on this machine, without a call. Whoever holds it can read that one object until
it expires, so it is given only to the tenant whose task refers to the object.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LINK_SECONDS = 300
"""How long a link is good for."""


@cache
def _signer() -> S3Client:
    """An S3 client that signs as every region accepts it; made only where a link is needed."""
    from botocore.config import Config
    from botocore.session import get_session

    # At an endpoint of one's own there are no host names for buckets. On AWS the bucket's regional host
    # is named, because the global one answers with redirects for hours after a bucket is made.
    elsewhere = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(signature_version="s3v4", s3={"addressing_style": "path" if elsewhere else "virtual"})
    client: S3Client = get_session().create_client("s3", config=config)  # type: ignore[assignment]
    return client


class DownloadLinks:
    """Makes links to the objects of one bucket.

    Args:
        bucket: Name of the bucket.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def __call__(self, key: str) -> str:
        """A link to the object at `key`, good for `LINK_SECONDS`."""
        return _signer().generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=LINK_SECONDS
        )
