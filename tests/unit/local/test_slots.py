"""Slots: what may run at once, counted before anything is received."""

from __future__ import annotations

import threading

from local.event_sources.slots import DEFAULT_MAXIMUM, Limits, Slot, SlotLedger


def take(ledger: SlotLedger, mapping: str) -> Slot | None:
    return ledger.acquire(mapping, timeout_seconds=0)


def take_all(ledger: SlotLedger, mapping: str) -> list[Slot]:
    slots: list[Slot] = []
    while (slot := take(ledger, mapping)) is not None:
        slots.append(slot)
    return slots


def test_a_mapping_takes_no_more_than_its_maximum() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f", maximum=3, reserved=10))
    assert len(take_all(ledger, "m")) == 3


def test_reserved_concurrency_bounds_a_mapping_that_asks_for_more() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f", maximum=10, reserved=2))
    assert len(take_all(ledger, "m")) == 2


def test_mappings_of_one_function_share_its_reserved_concurrency() -> None:
    ledger = SlotLedger()
    ledger.set_limits("a", Limits("f", maximum=3, reserved=4))
    ledger.set_limits("b", Limits("f", maximum=3, reserved=4))
    ledger.set_limits("other", Limits("g", maximum=3, reserved=4))
    assert len(take_all(ledger, "a")) == 3
    assert len(take_all(ledger, "b")) == 1
    assert len(take_all(ledger, "other")) == 3


def test_reserved_concurrency_of_zero_stops_a_mapping() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f", maximum=3, reserved=0))
    assert take(ledger, "m") is None


def test_without_limits_there_is_a_default() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f"))
    assert len(take_all(ledger, "m")) == DEFAULT_MAXIMUM


def test_an_unknown_or_forgotten_mapping_gets_nothing() -> None:
    ledger = SlotLedger()
    assert take(ledger, "m") is None
    ledger.set_limits("m", Limits("f"))
    ledger.forget("m")
    assert take(ledger, "m") is None


def test_a_slot_is_given_back_once_however_often_it_is_released() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f", maximum=2))
    first, second = take_all(ledger, "m")
    first.release()
    first.release()
    assert ledger.in_use("m") == 1
    assert len(take_all(ledger, "m")) == 1
    second.release()
    assert ledger.in_use("m") == 1


def test_a_lowered_maximum_takes_no_running_slot_away_and_holds_from_then_on() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f", maximum=3))
    slots = take_all(ledger, "m")
    ledger.set_limits("m", Limits("f", maximum=2))
    assert ledger.in_use("m") == 3
    slots.pop().release()
    assert take(ledger, "m") is None
    slots.pop().release()
    assert take(ledger, "m") is not None


def test_a_raised_maximum_wakes_who_waits() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f", maximum=1))
    assert take(ledger, "m") is not None
    got: list[Slot | None] = []
    waiter = threading.Thread(target=lambda: got.append(ledger.acquire("m", timeout_seconds=30)))
    waiter.start()
    ledger.set_limits("m", Limits("f", maximum=2))
    waiter.join()
    assert got != [None]


def test_a_mapping_that_was_forgotten_still_gives_its_slots_back() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f", maximum=1))
    slot = take(ledger, "m")
    assert slot is not None
    ledger.forget("m")
    assert not ledger.wait_until_idle(timeout_seconds=0)
    slot.release()
    assert ledger.wait_until_idle(timeout_seconds=0)


def test_many_threads_never_hold_more_than_the_maximum() -> None:
    ledger = SlotLedger()
    ledger.set_limits("m", Limits("f", maximum=4, reserved=4))
    most: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        for _ in range(200):
            slot = ledger.acquire("m", timeout_seconds=30)
            assert slot is not None
            with lock:
                most.append(ledger.in_use("m"))
            slot.release()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 12 * 200
    assert max(most) <= 4
    assert ledger.in_use("m") == 0
