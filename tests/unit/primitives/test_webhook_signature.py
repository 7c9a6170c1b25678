"""Signatures are those of Standard Webhooks 1.0.0, as its own library makes and checks them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from flotilla.clock import SystemClock
from flotilla.primitives.webhook_signature import SECRET_BYTES, headers_for, message_id, secret_of

SECRET = secret_of(bytes(range(SECRET_BYTES)))
OLD = secret_of(bytes(range(100, 100 + SECRET_BYTES)))
BODY = json.dumps({"type": "task.succeeded", "data": {"text": "größe \U0001f680"}}, ensure_ascii=False).encode()


def signed(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    return headers_for("msg_1", body, secrets=secrets, now_ms=SystemClock().now_ms())


@given(st.binary(min_size=24, max_size=64), st.text(), st.integers(min_value=0, max_value=4_000_000_000_999))
def test_a_signature_is_the_librarys_own(random: bytes, body: str, now_ms: int) -> None:
    secret = secret_of(random)
    try:
        sent = body.encode()
    except UnicodeEncodeError:
        return
    headers = headers_for("msg_1", sent, secrets=[secret], now_ms=now_ms)
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body),
    }


def test_the_example_of_the_specification_is_signed_as_an_independent_implementation_does() -> None:
    """The vector of the reference implementations' own tests."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = headers_for(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', secrets=[secret], now_ms=1_614_265_330_000
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_verifies_with_the_library() -> None:
    assert Webhook(SECRET).verify(BODY, signed(SECRET)) == json.loads(BODY)


def test_during_a_rotation_both_secrets_verify_and_no_other_does() -> None:
    headers = signed(SECRET, OLD)
    assert headers["webhook-signature"].count(" ") == 1
    for secret in (SECRET, OLD):
        Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(bytes(SECRET_BYTES))).verify(BODY, headers)


@pytest.mark.parametrize(
    "change",
    [{"webhook-id": "msg_2"}, {"webhook-timestamp": str(SystemClock().now_ms() // 1000 - 9)}],
    ids=["id", "timestamp"],
)
def test_neither_id_nor_time_can_be_altered(change: dict[str, str]) -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, signed(SECRET) | change)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", signed(SECRET))


def test_a_secret_says_what_it_is_and_is_long_enough() -> None:
    assert SECRET.startswith("whsec_")
    assert base64.b64decode(SECRET.removeprefix("whsec_"), validate=True) == bytes(range(32))
    for length in (0, 23, 65):
        with pytest.raises(ValueError, match="24 to 64"):
            secret_of(bytes(length))


def test_an_id_is_stable_and_tells_tasks_events_and_endpoints_apart() -> None:
    ids = [message_id(task, seq, endpoint) for task in ("a", "b") for seq in (1, 11) for endpoint in ("x", "y")]
    assert len(set(ids)) == 8
    assert message_id("a", 1, "x") == ids[0]
    assert all(len(found) == 36 and found.startswith("msg_") and "." not in found for found in ids)
