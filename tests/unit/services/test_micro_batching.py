"""Who is asked for together: like with like, as many as there is room for, and nobody waits for nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flotilla.llm.together import Room
from tests.unit.services.batching import (
    Calls,
    Label,
    World,
    asking,
    cancelled_after,
    is_combined,
    its_own,
    mails,
)


class Grade(Label):
    grade: int = 0


def test_ten_attempts_make_one_call_at_once_and_each_gets_its_own_answer() -> None:
    world, items = World(), mails(10)
    assert world.run(*map(world.attempt, items)) == [its_own(item) for item in items]
    assert world.model.together() == [items]
    assert world.model.times() == [0.0], "nobody is left to wait for"


def test_one_attempt_alone_is_asked_alone_and_at_once() -> None:
    world = World()
    assert world.run(world.attempt("mail")) == [its_own("mail")]
    (_, request), *none = world.model.asked
    assert not none
    assert not is_combined(request)
    assert world.ended == {"mail": 1.0}


def test_who_is_a_little_later_is_waited_for() -> None:
    world = World()
    world.run(world.attempt("a"), world.attempt("b", after=0.15))
    assert world.model.together() == [["a", "b"]]
    assert world.model.times() == [0.15]


def test_who_does_not_come_is_waited_for_no_longer_than_the_least_patient_wants() -> None:
    world = World()
    world.run(world.attempt("a"), world.attempt("b", patience_ms=50), world.attempt("c", after=5, asks=False))
    assert world.model.together() == [["a", "b"]]
    assert world.model.times() == [0.05]


def test_the_end_of_the_last_that_was_waited_for_is_the_end_of_the_wait() -> None:
    world = World()
    world.run(world.attempt("a"), world.attempt("b"), world.attempt("c", after=0.07, asks=False))
    assert world.model.times() == [0.07]


def test_other_agents_and_tenants_are_not_waited_for() -> None:
    world = World()
    world.run(
        world.attempt("a"),
        world.attempt("b"),
        world.attempt("c", after=5, agent="other"),
        world.attempt("d", after=5, tenant="globex"),
    )
    assert world.model.times() == [0.0, 5.0, 5.0]


def test_who_waits_for_a_model_already_is_not_waited_for() -> None:
    world = World()

    async def twice(item: str) -> Any:
        first = await world.attempt(f"{item}, first", instructions=item)
        return first, await world.attempt(f"{item}, second")

    world.run(twice("a"), twice("b"))
    assert world.model.times() == [0.0, 0.0, 1.0]
    assert world.model.sizes() == [1, 1, 2]


def test_who_comes_to_wait_for_something_else_is_waited_for_no_more() -> None:
    world = World()
    world.run(world.attempt("a"), world.attempt("b", after=0.1, instructions="Sort the mail."))
    assert world.model.times() == [0.1, 0.1]


def test_who_is_kept_apart_waits_for_nobody_and_nobody_for_it() -> None:
    world = World()

    async def by_itself() -> None:
        with world.roster.seat("acme", "mail.label") as seat:
            await asyncio.sleep(0.03)
            seat.keep_apart()
            await asyncio.sleep(0.03)
            await world.batches.generate(seat, Calls(world.model), asking("x"))

    world.run(world.attempt("a"), by_itself(), world.attempt("b"))
    assert world.model.together() == [["a", "b"]]
    assert world.model.times() == [0.03, 0.06]


def test_who_has_its_answer_may_come_again_and_is_waited_for() -> None:
    world = World()

    async def twice() -> None:
        with world.roster.seat("acme", "mail.label") as seat:
            calls = Calls(world.model)
            await world.batches.generate(seat, calls, asking("a, first"))
            await asyncio.sleep(0.05)
            await world.batches.generate(seat, calls, asking("a, second"))

    async def later() -> None:
        await asyncio.sleep(1)
        await world.attempt("b")

    world.run(twice(), later())
    assert world.model.times() == [0.0, 1.05]
    assert world.model.together() == [["b", "a, second"]]


def test_who_is_cancelled_makes_room_for_another() -> None:
    world = World()
    others = [world.attempt(item, max_items=3, after=after) for item, after in (("b", 0.02), ("c", 0.1), ("d", 0.12))]
    world.run(cancelled_after(world.attempt("a", max_items=3), 0.05), *others)
    assert world.model.together() == [["b", "c", "d"]]


def test_who_comes_too_late_is_in_the_next_call() -> None:
    world = World()
    late = [world.attempt(item, after=after) for item, after in (("c", 0.4), ("d", 0.5))]
    assert world.run(world.attempt("a"), world.attempt("b"), *late) == [its_own(item) for item in "abcd"]
    assert world.model.together() == [["a", "b"], ["c", "d"]]
    assert world.model.times() == [0.2, 0.5]


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "globex"},
        {"agent": "mail.sort"},
        {"route": "careful"},
        {"instructions": "Sort the mail."},
        {"output": Grade},
        {"max_tokens": 99},
        {"temperature": 0.5},
        {"quality": "high"},
    ],
)
def test_only_what_is_alike_is_asked_together(other: dict[str, Any]) -> None:
    world = World()
    found = world.run(
        *(world.attempt(item) for item in ("a", "b")),
        *(world.attempt(item, **other) for item in ("c", "d")),
    )
    assert [one.label for one in found] == [its_own(item).label for item in "abcd"]
    assert sorted(world.model.together()) == [["a", "b"], ["c", "d"]]


def test_a_call_holds_no_more_items_than_were_asked_for() -> None:
    world = World()
    world.run(*(world.attempt(item, max_items=4) for item in mails(10)))
    assert sorted(world.model.sizes()) == [2, 4, 4]


def test_one_item_at_the_most_is_no_batch() -> None:
    world = World()
    world.run(*(world.attempt(item, max_items=1) for item in mails(3)))
    assert world.model.sizes() == [1, 1, 1]


def test_a_call_holds_no_more_than_models_read_and_write() -> None:
    room = Room(input_tokens=100, answer_tokens=10_000)
    world = World(room=room)
    world.run(*(world.attempt(f"{item} {'x' * 80}") for item in mails(5)))
    assert sorted(world.model.sizes()) == [1, 2, 2]
    world = World(room=Room(answer_tokens=490))
    world.run(*(world.attempt(item, max_tokens=150) for item in mails(5)))
    assert sorted(world.model.sizes()) == [1, 2, 2]


def test_an_item_that_is_too_large_for_company_goes_alone_and_keeps_nobody_waiting() -> None:
    world = World(room=Room(input_tokens=100))
    world.run(world.attempt("a"), world.attempt("x" * 1000), world.attempt("b"))
    assert sorted(world.model.sizes()) == [1, 2]
    assert world.model.times() == [0.0, 0.0]
