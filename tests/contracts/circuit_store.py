"""The contract of `CircuitStore`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from flotilla.circuit_ports import CircuitStore, ProbeLease
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.primitives.circuit_window import SUB_BUCKET_MS, SubBucket, sub_bucket_of

NOW_MS = 1_700_000_002_345
CRM = "integration.crm"

FIRST = CircuitRecord(
    version=1,
    state=CircuitState.OPEN,
    mode=CircuitMode.AUTO,
    since_ms=NOW_MS,
    until_ms=NOW_MS + 10_000,
    cooldown_ms=10_000,
    opened_at_ms=NOW_MS,
    counts_from_ms=7,
    episode=1,
    passed=2,
    reason="12 of 12 calls failed, größe \U0001f680",
    by="env-1",
)
SECOND = replace(FIRST, version=2, state=CircuitState.HALF_OPEN, mode=CircuitMode.OPEN, by="env-2")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def read(store: CircuitStore, circuit: str = CRM) -> CircuitRecord:
    found: CircuitRecord = run(store.read(circuit, consistent=True))
    return found


def transition(store: CircuitStore, record: CircuitRecord, circuit: str = CRM) -> CircuitRecord | None:
    other: CircuitRecord | None = run(store.transition(circuit, record))
    return other


def add(
    store: CircuitStore, columns: Mapping[str, int], *, shard: int = 0, now_ms: int = NOW_MS, circuit: str = CRM
) -> SubBucket:
    added: SubBucket = run(store.add(circuit, shard, columns, now_ms))
    return added


def window(store: CircuitStore, since_ms: int = 0, circuit: str = CRM) -> list[SubBucket]:
    found: list[SubBucket] = run(store.window(circuit, since_ms))
    return sorted(found, key=lambda bucket: (bucket.start_ms, bucket.shard))


def acquire(store: CircuitStore, slot: int, owner: str, now_ms: int = NOW_MS, lease_ms: int = 1000) -> int | None:
    until: int | None = run(store.acquire_probe(CRM, ProbeLease(slot, owner, now_ms + lease_ms), now_ms))
    return until


def give_back(store: CircuitStore, slot: int, owner: str) -> None:
    run(store.return_probe(CRM, slot, owner))


class CircuitStoreContract:
    """Provide a fixture `store`: one that knows no circuit."""

    def test_a_circuit_that_nothing_happened_to_is_closed(self, store: CircuitStore) -> None:
        assert read(store) == CircuitRecord()
        assert run(store.read(CRM, consistent=False)) == CircuitRecord()
        assert run(store.names()) == []

    def test_a_step_is_kept_as_it_was_made(self, store: CircuitStore) -> None:
        assert transition(store, FIRST) is None
        assert read(store) == FIRST
        assert transition(store, SECOND) is None
        assert read(store) == SECOND

    def test_who_comes_too_late_is_told_what_is_there(self, store: CircuitStore) -> None:
        transition(store, FIRST)
        assert transition(store, replace(FIRST, by="env-9")) == FIRST
        transition(store, SECOND)
        assert transition(store, replace(FIRST, by="env-9")) == SECOND
        assert transition(store, replace(SECOND, version=4)) == SECOND
        assert read(store) == SECOND

    def test_the_very_same_step_may_be_sent_again(self, store: CircuitStore) -> None:
        """The answer to the first may have been lost."""
        transition(store, FIRST)
        assert transition(store, FIRST) is None

    def test_a_circuit_that_was_forgotten_goes_on_from_what_is_known(self, store: CircuitStore) -> None:
        assert transition(store, SECOND) is None
        assert read(store) == SECOND

    def test_of_many_who_make_a_step_at_once_one_wins_and_all_are_told_which(self, store: CircuitStore) -> None:
        transition(store, FIRST)

        async def all_at_once() -> list[CircuitRecord | None]:
            steps = (store.transition(CRM, replace(SECOND, by=f"env-{number}")) for number in range(12))
            return list(await asyncio.gather(*steps))

        answers = run(all_at_once())
        assert answers.count(None) == 1
        assert {answer.by for answer in answers if answer is not None} == {f"env-{answers.index(None)}"}
        assert read(store).by == f"env-{answers.index(None)}"

    def test_circuits_are_kept_apart_and_known_by_name(self, store: CircuitStore) -> None:
        transition(store, FIRST, "model.fast")
        transition(store, FIRST)
        transition(store, SECOND)
        assert read(store, "model.fast") == FIRST
        assert run(store.names()) == [CRM, "model.fast"]

    def test_counts_add_up_and_who_adds_is_told_the_sum(self, store: CircuitStore) -> None:
        assert add(store, {"ok": 3, "h12": 3}).columns == {"ok": 3, "h12": 3}
        added = add(store, {"ok": 1, "failed": 2, "f7": 1})
        assert added == SubBucket(sub_bucket_of(NOW_MS), 0, {"ok": 4, "h12": 3, "failed": 2, "f7": 1})
        assert window(store) == [added]

    def test_shards_spans_of_time_and_circuits_are_counted_apart(self, store: CircuitStore) -> None:
        buckets = [
            add(store, {"ok": 1}),
            add(store, {"ok": 2}, shard=11),
            add(store, {"ok": 3}, now_ms=NOW_MS + SUB_BUCKET_MS),
        ]
        other = add(store, {"ok": 4}, circuit="model.fast")
        assert window(store) == buckets
        assert window(store, circuit="model.fast") == [other]

    def test_a_window_begins_where_it_is_asked_to(self, store: CircuitStore) -> None:
        starts = [sub_bucket_of(NOW_MS) + number * SUB_BUCKET_MS for number in range(40)]
        for start_ms in starts:
            add(store, {"ok": 1}, now_ms=start_ms)
        assert [bucket.start_ms for bucket in window(store, starts[30])] == starts[30:]
        assert [bucket.start_ms for bucket in window(store, starts[30] + 1)] == starts[31:]

    def test_counts_are_neither_state_nor_probes(self, store: CircuitStore) -> None:
        add(store, {"ok": 1})
        transition(store, FIRST)
        acquire(store, 0, "env-1/1")
        assert [bucket.columns for bucket in window(store)] == [{"ok": 1}]
        assert len(run(store.probes(CRM))) == 1

    def test_many_who_count_at_once_lose_nothing(self, store: CircuitStore) -> None:
        async def all_at_once() -> None:
            await asyncio.gather(*(store.add(CRM, 0, {"ok": 1, "failed": 2}, NOW_MS) for _ in range(25)))

        run(all_at_once())
        assert [bucket.columns for bucket in window(store)] == [{"ok": 25, "failed": 50}]

    def test_a_probe_is_leased_to_one(self, store: CircuitStore) -> None:
        assert acquire(store, 0, "env-1/1") is None
        assert acquire(store, 0, "env-2/1") == NOW_MS + 1000
        assert acquire(store, 1, "env-2/1") is None
        leases = [ProbeLease(0, "env-1/1", NOW_MS + 1000), ProbeLease(1, "env-2/1", NOW_MS + 1000)]
        assert run(store.probes(CRM)) == leases

    def test_who_has_the_lease_may_ask_again(self, store: CircuitStore) -> None:
        acquire(store, 0, "env-1/1")
        assert acquire(store, 0, "env-1/1") is None

    def test_a_probe_of_which_nothing_is_heard_comes_back_by_itself(self, store: CircuitStore) -> None:
        acquire(store, 0, "env-1/1")
        assert acquire(store, 0, "env-2/1", NOW_MS + 999) == NOW_MS + 1000
        assert acquire(store, 0, "env-2/1", NOW_MS + 1000) is None
        assert acquire(store, 0, "env-1/1", NOW_MS + 1001) == NOW_MS + 2000

    def test_a_probe_is_given_back_by_who_has_it_only(self, store: CircuitStore) -> None:
        acquire(store, 0, "env-1/1")
        give_back(store, 0, "env-2/1")
        assert acquire(store, 0, "env-2/1") == NOW_MS + 1000
        give_back(store, 0, "env-1/1")
        give_back(store, 0, "env-1/1")
        assert acquire(store, 0, "env-2/1") is None

    def test_of_many_who_want_a_probe_at_once_one_has_it(self, store: CircuitStore) -> None:
        async def all_at_once() -> list[int | None]:
            leases = (ProbeLease(0, f"env-{number}/1", NOW_MS + 1000) for number in range(12))
            return list(await asyncio.gather(*(store.acquire_probe(CRM, lease, NOW_MS) for lease in leases)))

        assert sorted(run(all_at_once()), key=lambda until: until or 0) == [None] + [NOW_MS + 1000] * 11
