"""What hours came to, in S3: the contract, and no failure that is not retryable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flotilla.errors import StoreUnavailableError
from flotilla.primitives.usage_hour import HOUR_MS
from flotilla.s3.usage_hours import S3UsageHours
from tests.contracts.usage_hours import FIRST_MS, UsageHoursContract, an_hour
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import answering_with, unreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "usage/2023/11/14/22.json"


@pytest.fixture
def hours(s3: S3Client, archive_bucket: str) -> S3UsageHours:
    return S3UsageHours(lambda: s3, archive_bucket, run_on_thread)


class TestS3UsageHours(UsageHoursContract):
    """The contract, on the bucket that the template makes."""


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "NoSuchBucket", "AccessDenied"])
def test_a_store_that_fails_is_retryable(hours: S3UsageHours, s3: S3Client, code: str) -> None:
    for operation, work in (
        ("get_object", lambda: hours.get(FIRST_MS)),
        ("get_object", hours.whole_until),
        ("put_object", lambda: hours.put(an_hour())),
        ("list_objects_v2", lambda: hours.begun(FIRST_MS, FIRST_MS + HOUR_MS)),
    ):
        with answering_with(s3, operation, code), pytest.raises(StoreUnavailableError):
            asyncio.run(work())
    for name, work in (
        ("GetObject", lambda: hours.get(FIRST_MS)),
        ("PutObject", lambda: hours.set_whole_until(FIRST_MS)),
        ("ListObjectsV2", lambda: hours.begun(FIRST_MS, FIRST_MS + HOUR_MS)),
    ):
        with unreachable(s3, name), pytest.raises(StoreUnavailableError):
            asyncio.run(work())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"groups": 1}', b"\xff"])
def test_what_cannot_be_read_is_as_if_it_were_not_there(
    hours: S3UsageHours, s3: S3Client, archive_bucket: str, content: bytes
) -> None:
    s3.put_object(Bucket=archive_bucket, Key=KEY, Body=content)
    assert asyncio.run(hours.get(FIRST_MS)) is None


def test_more_hours_than_one_answer_holds_are_listed(s3: S3Client, archive_bucket: str) -> None:
    hours = S3UsageHours(lambda: s3, archive_bucket, run_on_thread, page_keys=2)
    for number in range(7):
        asyncio.run(hours.put(an_hour(FIRST_MS + number * HOUR_MS)))
    assert len(asyncio.run(hours.begun(FIRST_MS, FIRST_MS + 20 * HOUR_MS))) == 7
    assert len(asyncio.run(hours.begun(FIRST_MS, FIRST_MS + 3 * HOUR_MS))) == 3
