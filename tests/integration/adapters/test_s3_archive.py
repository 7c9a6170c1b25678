"""Archived logs in S3: the contract, and no failure that is not retryable."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING

import pytest

from flotilla.errors import CorruptLogError, RetryableError, StoreUnavailableError
from flotilla.events import Kind
from flotilla.s3.archive import S3Archive
from flotilla.s3.archive_scan import S3ArchiveScan
from tests.contracts.archive import KEY, ArchiveContract
from tests.contracts.mending import ArchiveScanContract
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import answering_with, answers_lost, unreachable
from tests.logs import log_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOG = log_of(Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_a")


@pytest.fixture
def archive(s3: S3Client, archive_bucket: str) -> S3Archive:
    return S3Archive(lambda: s3, archive_bucket, run_on_thread)


@pytest.fixture
def archive_scan(s3: S3Client, archive_bucket: str) -> S3ArchiveScan:
    return S3ArchiveScan(lambda: s3, archive_bucket, run_on_thread)


class TestS3Archive(ArchiveContract):
    """The contract, on the bucket that the template makes."""


class TestS3ArchiveScan(ArchiveScanContract):
    """The contract, on the bucket that the template makes."""


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "NoSuchBucket", "AccessDenied"])
def test_a_scan_that_fails_is_retryable(archive_scan: S3ArchiveScan, s3: S3Client, code: str) -> None:
    with answering_with(s3, "list_objects_v2", code), pytest.raises(StoreUnavailableError):
        asyncio.run(archive_scan.keys(None, limit=5))
    with answering_with(s3, "get_object", code), pytest.raises(StoreUnavailableError):
        asyncio.run(archive_scan.logs(KEY))
    with unreachable(s3, "ListObjectsV2"), pytest.raises(StoreUnavailableError):
        asyncio.run(archive_scan.keys("a", limit=5))
    with unreachable(s3, "GetObject"), pytest.raises(StoreUnavailableError):
        asyncio.run(archive_scan.logs(KEY))


def test_an_object_is_lines_of_json_for_whoever_comes_to_read_it(
    archive: S3Archive, s3: S3Client, archive_bucket: str
) -> None:
    asyncio.run(archive.put(KEY, [LOG]))
    content = s3.get_object(Bucket=archive_bucket, Key=KEY)["Body"].read()
    lines = [json.loads(line) for line in gzip.decompress(content).decode().splitlines()]
    assert [(line["task_id"], line["seq"], line["kind"]) for line in lines] == [
        ("tsk_a", 0, "accepted"),
        ("tsk_a", 1, "started"),
        ("tsk_a", 2, "succeeded"),
    ]


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "NoSuchBucket", "RequestTimeout"])
def test_an_error_of_the_bucket_is_retryable(archive: S3Archive, s3: S3Client, code: str) -> None:
    with answering_with(s3, "put_object", code), pytest.raises(StoreUnavailableError):
        asyncio.run(archive.put(KEY, [LOG]))
    with answering_with(s3, "get_object", code), pytest.raises(StoreUnavailableError):
        asyncio.run(archive.get(KEY, "tsk_a"))


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_what_the_archive_has_forgotten_is_not_there(archive: S3Archive, s3: S3Client, code: str) -> None:
    """Without the right to list a bucket, S3 denies access to what is not in it."""
    with answering_with(s3, "get_object", code):
        assert asyncio.run(archive.get(KEY, "tsk_a")) == []


def test_a_bucket_out_of_reach_is_retryable(archive: S3Archive, s3: S3Client) -> None:
    with unreachable(s3, "PutObject"), pytest.raises(StoreUnavailableError):
        asyncio.run(archive.put(KEY, [LOG]))
    with unreachable(s3, "GetObject"), pytest.raises(StoreUnavailableError):
        asyncio.run(archive.get(KEY, "tsk_a"))


def test_a_write_whose_answer_was_lost_may_be_repeated(archive: S3Archive, s3: S3Client) -> None:
    with answers_lost(s3, "PutObject"), pytest.raises(RetryableError):
        asyncio.run(archive.put(KEY, [LOG]))
    asyncio.run(archive.put(KEY, [LOG]))
    assert asyncio.run(archive.get(KEY, "tsk_a")) == LOG


@pytest.mark.parametrize("damage", [b"", b"not compressed", None])
def test_an_object_that_was_cut_or_replaced_is_a_corrupt_log(
    archive: S3Archive, s3: S3Client, archive_bucket: str, damage: bytes | None
) -> None:
    asyncio.run(archive.put(KEY, [LOG]))
    whole = s3.get_object(Bucket=archive_bucket, Key=KEY)["Body"].read()
    s3.put_object(Bucket=archive_bucket, Key=KEY, Body=whole[:-20] if damage is None else damage)
    with pytest.raises(CorruptLogError):
        asyncio.run(archive.get(KEY, "tsk_a"))
