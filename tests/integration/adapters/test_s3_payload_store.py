"""Large values in S3: the contract, and no failure that is not retryable."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.s3.payload_store import S3PayloadStore
from tests.contracts.payload_store import KEY, PayloadStoreContract, get, put
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import answering_with, answers_lost, unreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def store(s3: S3Client, payloads_bucket: str) -> S3PayloadStore:
    return S3PayloadStore(lambda: s3, payloads_bucket, run_on_thread)


class TestS3PayloadStore(PayloadStoreContract):
    """The contract, on the bucket that the templates make."""


def test_the_client_is_made_when_it_is_first_needed(s3: S3Client, payloads_bucket: str) -> None:
    made: list[S3Client] = []

    def factory() -> S3Client:
        made.append(s3)
        return s3

    store = S3PayloadStore(factory, payloads_bucket, run_on_thread)
    assert made == []
    put(store, KEY, b"{}")
    assert made == [s3]


def test_it_is_stored_as_the_json_it_is(store: S3PayloadStore, s3: S3Client, payloads_bucket: str) -> None:
    put(store, KEY, b"{}")
    assert s3.head_object(Bucket=payloads_bucket, Key=KEY)["ContentType"] == "application/json"


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "NoSuchBucket", "RequestTimeout"])
def test_an_error_of_the_bucket_is_retryable(store: S3PayloadStore, s3: S3Client, code: str) -> None:
    with answering_with(s3, "put_object", code), pytest.raises(RetryableError) as putting:
        put(store, KEY, b"{}")
    with answering_with(s3, "get_object", code), pytest.raises(RetryableError) as getting:
        get(store, KEY)
    assert {putting.value.code, getting.value.code} == {"payloads_unavailable"}


def denied(s3: S3Client) -> Stubber:
    """As S3 answers who may not list the bucket, whether or not the object is there."""
    stubber = Stubber(s3)
    stubber.add_client_error("get_object", "AccessDenied", "Access Denied", 403)
    return stubber


def test_what_is_denied_because_it_is_not_there_is_missing(
    store: S3PayloadStore, s3: S3Client, payloads_bucket: str
) -> None:
    stubber = denied(s3)
    asked = {"Bucket": payloads_bucket, "Prefix": KEY, "MaxKeys": 1}
    stubber.add_response("list_objects_v2", {"KeyCount": 0, "IsTruncated": False}, asked)
    with stubber, pytest.raises(RetryableError) as raised:
        get(store, KEY)
    assert raised.value.code == "payload_missing"
    assert not isinstance(raised.value, StoreUnavailableError)
    stubber.assert_no_pending_responses()


def test_what_is_there_and_denied_is_an_outage(store: S3PayloadStore, s3: S3Client) -> None:
    stubber = denied(s3)
    stubber.add_response("list_objects_v2", {"KeyCount": 1, "IsTruncated": False, "Contents": [{"Key": KEY}]})
    with stubber, pytest.raises(StoreUnavailableError):
        get(store, KEY)


def test_what_is_denied_to_who_may_not_even_ask_for_it_is_an_outage(store: S3PayloadStore, s3: S3Client) -> None:
    stubber = denied(s3)
    stubber.add_client_error("list_objects_v2", "AccessDenied", "Access Denied", 403)
    with stubber, pytest.raises(StoreUnavailableError):
        get(store, KEY)


def test_a_bucket_out_of_reach_is_retryable(store: S3PayloadStore, s3: S3Client) -> None:
    with unreachable(s3, "PutObject"), pytest.raises(RetryableError):
        put(store, KEY, b"{}")
    with unreachable(s3, "GetObject"), pytest.raises(RetryableError):
        get(store, KEY)


def test_a_write_whose_answer_was_lost_may_be_repeated(store: S3PayloadStore, s3: S3Client) -> None:
    with answers_lost(s3, "PutObject"), pytest.raises(RetryableError):
        put(store, KEY, b"{}")
    assert get(store, KEY) == b"{}", "it was stored"
    put(store, KEY, b"{}")
    assert get(store, KEY) == b"{}"


def test_a_payload_that_breaks_off_while_it_is_read_is_retryable(store: S3PayloadStore, s3: S3Client) -> None:
    with Stubber(s3) as stubber:
        stubber.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b'{"half'), content_length=100)})
        with pytest.raises(RetryableError):
            get(store, KEY)
