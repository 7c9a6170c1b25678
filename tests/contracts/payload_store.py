"""The contract of `PayloadStore`."""

from __future__ import annotations

import asyncio

import pytest

from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.ports import PayloadStore

KEY = "tenants/acme/tasks/tsk_1/" + "ab" * 32 + ".json"


def put(store: PayloadStore, key: str, content: bytes) -> None:
    asyncio.run(store.put(key, content))


def get(store: PayloadStore, key: str) -> bytes:
    return asyncio.run(store.get(key))


class PayloadStoreContract:
    """Provide a fixture `store`: an empty payload store."""

    @pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff" * 1000, "größe".encode(), b"x" * 2_000_000])
    def test_what_was_put_is_got(self, store: PayloadStore, content: bytes) -> None:
        put(store, KEY, content)
        assert get(store, KEY) == content

    def test_what_is_not_there_may_come_yet_but_is_not_waited_for_for_ever(self, store: PayloadStore) -> None:
        """An outage parks the work and charges nothing; what is gone for good must use up its attempts."""
        with pytest.raises(RetryableError) as raised:
            get(store, KEY)
        assert not isinstance(raised.value, StoreUnavailableError)
        assert raised.value.code == "payload_missing"

    def test_putting_it_twice_leaves_one(self, store: PayloadStore) -> None:
        put(store, KEY, b"1")
        put(store, KEY, b"1")
        assert get(store, KEY) == b"1"

    def test_keys_with_any_tenants_name_are_kept_apart(self, store: PayloadStore) -> None:
        keys = [f"tenants/{tenant}/tasks/t/0.json" for tenant in ("a", "A", "a b", "a+b", "größe", "a%20b", "a/../b")]
        for key in keys:
            put(store, key, key.encode())
        assert [get(store, key) for key in keys] == [key.encode() for key in keys]
