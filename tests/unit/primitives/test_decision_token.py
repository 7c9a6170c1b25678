"""Tokens of links to decisions: only what was signed is read, and only until it expires."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.decision_token import MAX_CHARACTERS, DecisionClaims, claims_of, token_of

KEY = b"k" * 64
NOW_MS = 1_700_000_000_000
CLAIMS = DecisionClaims("tsk_" + "a" * 32, 4, NOW_MS // 1000 + 60, "whk_" + "b" * 24)
TOKEN = token_of(CLAIMS, KEY)


def test_what_was_signed_is_read_again() -> None:
    assert claims_of(TOKEN, KEY, NOW_MS) == CLAIMS
    assert token_of(CLAIMS, KEY) == TOKEN


def test_it_fits_a_path() -> None:
    largest = DecisionClaims("tsk_" + "f" * 32, 999_999, 99_999_999_999, "whk_" + "f" * 24)
    token = token_of(largest, KEY)
    assert len(token) <= MAX_CHARACTERS
    assert token.replace(".", "").replace("-", "").replace("_", "").isalnum()


def test_it_expires_to_the_second() -> None:
    assert claims_of(TOKEN, KEY, CLAIMS.expires * 1000 - 1) == CLAIMS
    assert claims_of(TOKEN, KEY, CLAIMS.expires * 1000) is None


def test_another_key_knows_nothing_of_it() -> None:
    assert claims_of(TOKEN, b"j" * 64, NOW_MS) is None


def test_none_of_its_characters_can_be_another() -> None:
    for position, character in enumerate(TOKEN):
        for other in "A", "z", "_", ".":
            if other != character:
                assert claims_of(TOKEN[:position] + other + TOKEN[position + 1 :], KEY, NOW_MS) is None


@pytest.mark.parametrize(
    "token",
    ["", ".", "x", "a.b", TOKEN + "=", TOKEN + ".", "." + TOKEN, TOKEN[:-1], TOKEN * 2, "ü" + TOKEN, "a" * 300 + ".b"],
)
def test_what_is_none_is_none(token: str) -> None:
    assert claims_of(token, KEY, NOW_MS) is None


@given(st.text(max_size=300))
def test_no_text_at_all_does_harm(text: str) -> None:
    assert claims_of(text, KEY, NOW_MS) is None


def test_who_signs_by_himself_needs_the_key() -> None:
    said, _, signature = TOKEN.partition(".")
    value = json.loads(base64.urlsafe_b64decode(said + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(value | {"seq": 5}).encode()).decode().rstrip("=")
    assert claims_of(f"{forged}.{signature}", KEY, NOW_MS) is None
