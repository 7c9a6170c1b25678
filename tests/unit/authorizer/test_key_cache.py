"""Keys are remembered for seconds: long enough to save reads, too short to outlive a revocation."""

from __future__ import annotations

import asyncio

import pytest

from flotilla.dynamo.api_keys import ApiKey
from flotilla.errors import RetryableError
from functions.authorizer.key_cache import HIT_SECONDS, MISS_SECONDS, KeyCache
from tests.fakes import ManualClock


class Store:
    """Keys in a dictionary, and how often it was asked."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.asked = 0
        self.answers = True

    async def find(self, raw_key: str) -> ApiKey | None:
        self.asked += 1
        if not self.answers:
            raise RetryableError("no answer")
        return self.keys.get(raw_key)

    def add(self, raw_key: str, expires_at: int | None = None) -> None:
        self.keys[raw_key] = ApiKey(raw_key, "acme", frozenset({"tasks:read"}), expires_at)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def find(cache: KeyCache, raw_key: str) -> ApiKey | None:
    return asyncio.run(cache.find(raw_key))


def test_a_known_key_is_looked_up_once_in_its_seconds(store: Store, clock: ManualClock) -> None:
    store.add("a")
    cache = KeyCache(store.find, clock)
    for _ in range(5):
        assert find(cache, "a") is not None
    assert store.asked == 1
    clock.advance(HIT_SECONDS)
    find(cache, "a")
    assert store.asked == 2


def test_a_revoked_key_is_unknown_after_its_seconds(store: Store, clock: ManualClock) -> None:
    store.add("a")
    cache = KeyCache(store.find, clock)
    find(cache, "a")
    del store.keys["a"]
    clock.advance(HIT_SECONDS)
    assert find(cache, "a") is None


def test_a_new_key_is_known_after_the_seconds_of_a_miss(store: Store, clock: ManualClock) -> None:
    cache = KeyCache(store.find, clock)
    assert find(cache, "a") is None
    store.add("a")
    assert find(cache, "a") is None
    assert store.asked == 1
    clock.advance(MISS_SECONDS)
    assert find(cache, "a") is not None


def test_an_expired_key_is_unknown_also_while_it_is_remembered(store: Store, clock: ManualClock) -> None:
    store.add("a", expires_at=clock.now_ms() // 1000 + 10)
    store.add("past", expires_at=clock.now_ms() // 1000)
    cache = KeyCache(store.find, clock)
    assert find(cache, "a") is not None
    assert find(cache, "past") is None
    clock.advance(10)
    assert find(cache, "a") is None


def test_a_store_that_does_not_answer_is_an_error_and_not_remembered(store: Store, clock: ManualClock) -> None:
    store.add("a")
    cache = KeyCache(store.find, clock)
    store.answers = False
    with pytest.raises(RetryableError):
        find(cache, "a")
    store.answers = True
    assert find(cache, "a") is not None


def test_what_is_remembered_is_bounded_and_misses_do_not_push_out_hits(store: Store, clock: ManualClock) -> None:
    store.add("a")
    cache = KeyCache(store.find, clock, max_entries=10)
    find(cache, "a")
    for number in range(1000):
        find(cache, f"guess-{number}")
    asked = store.asked
    assert find(cache, "a") is not None
    assert store.asked == asked
    for number in range(50):
        store.add(f"key-{number}")
        find(cache, f"key-{number}")
    assert len(cache._hits) == len(cache._misses) == 10


def test_no_raw_key_is_kept(store: Store, clock: ManualClock) -> None:
    cache = KeyCache(store.find, clock)
    find(cache, "raw-key-in-the-clear")
    assert "raw-key-in-the-clear" not in str(vars(cache))
