"""Many workers at one task: one runs it, one result is committed, whatever the others believe."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from flotilla.events import Kind, chain, fold, verify_chain
from flotilla.models import Status
from flotilla.services.submit import Accepted
from tests.concurrency.racers import PATIENCE_SECONDS, Racers
from tests.unit.services import sample_agents
from tests.unit.services.ordering import TOKEN, body_of, delivery_of, order_of


def outcomes(racers: Racers, accepted: Accepted) -> list[str]:
    """What happened to the task after it was accepted; the log is checked to be whole."""
    events = racers.events(accepted)
    verify_chain(events)
    fold(events)
    return [event.kind.value for event in events][1:]


def test_sixteen_workers_start_one_task_once(racers: Racers) -> None:
    accepted = racers.submit("sample.echo", "won")
    results = racers.at_once(16, lambda worker: racers.work(f"w/{worker}", racers.delivery(accepted)))
    assert sample_agents.HISTORY == [("echo", "won"), ("echoed", "won")]
    assert outcomes(racers, accepted) == ["started", "succeeded"]
    assert all(len(result.done) + len(result.again) == 1 for result in results)


@pytest.mark.parametrize("receive_count", [1, 2])
def test_sixteen_workers_make_one_task_of_an_order_and_tell_its_state_once(racers: Racers, receive_count: int) -> None:
    body = body_of(value="won")
    racers.tokens.waiting.add(TOKEN)
    delivery = delivery_of(body, receive_count)
    results = racers.at_once(16, lambda worker: racers.work(f"w/{worker}", delivery))
    assert sample_agents.HISTORY == [("echo", "won"), ("echoed", "won")]
    events = asyncio.run(racers.log.read(order_of(body).task_id))
    verify_chain(events)
    assert [event.kind.value for event in events] == ["accepted", "started", "succeeded"]
    assert len(racers.tokens.answers_to(TOKEN)) == 1
    assert all(len(result.done) + len(result.again) == 1 for result in results)


def lose(racers: Racers, accepted: Accepted) -> None:
    """A worker starts the task and dies; its lease runs out."""
    head = racers.events(accepted)[-1]
    started = chain(
        task_id=head.task_id,
        seq=head.seq + 1,
        kind=Kind.STARTED,
        at_ms=racers.clock.now_ms(),
        actor="worker:dead",
        attempt=head.attempt + 1,
        body={"lease_until_ms": racers.clock.now_ms() + 5000},
        prev_hash=head.hash,
    )
    assert asyncio.run(racers.log.append(started)) is None
    racers.clock.advance(60)


def test_sixteen_workers_take_over_a_lost_task_once(racers: Racers) -> None:
    accepted = racers.submit("sample.echo", "won")
    lose(racers, accepted)
    racers.at_once(16, lambda worker: racers.work(f"w/{worker}", racers.delivery(accepted, 2 + worker)))
    assert sample_agents.HISTORY == [("echo", "won"), ("echoed", "won")]
    assert outcomes(racers, accepted) == ["started", "started", "succeeded"]


def test_a_stale_workers_commit_is_refused(racers: Racers) -> None:
    """It wakes up after its lease, when its successor has already committed, and leaves the message alone."""
    accepted = racers.submit("sample.held", "stale")
    with ThreadPoolExecutor(1) as thread:
        stale = thread.submit(racers.work, "w/stale", racers.delivery(accepted))
        assert sample_agents.HELD.wait(PATIENCE_SECONDS)
        racers.clock.advance(60)
        successor = racers.work("w/successor", racers.delivery(accepted, 2))
        sample_agents.RELEASE.set()
        result = stale.result(PATIENCE_SECONDS)
    assert len(successor.done) == 1
    assert (len(result.done), len(result.again)) == (0, 1)
    assert outcomes(racers, accepted) == ["started", "started", "succeeded"]
    assert racers.events(accepted)[-1].actor == "worker:w/successor"


@pytest.mark.parametrize("late_one_first", [True, False])
def test_a_takeover_and_a_late_commit_race_to_one_result(racers: Racers, late_one_first: bool) -> None:
    """A worker whose lease has just ended commits while eight others take its task over."""
    for _ in range(3):
        sample_agents.HELD.clear()
        sample_agents.RELEASE.clear()
        accepted = racers.submit("sample.held", "late")
        with ThreadPoolExecutor(9) as threads:
            late = threads.submit(racers.work, "w/late", racers.delivery(accepted))
            assert sample_agents.HELD.wait(PATIENCE_SECONDS)
            racers.clock.advance(60)
            if late_one_first:
                sample_agents.RELEASE.set()
            others = [
                threads.submit(racers.work, f"w/{number}", racers.delivery(accepted, number)) for number in range(2, 10)
            ]
            sample_agents.RELEASE.set()
            for worker in [late, *others]:
                worker.result(PATIENCE_SECONDS)
        assert outcomes(racers, accepted) in (["started", "succeeded"], ["started", "started", "succeeded"])
        assert fold(racers.events(accepted)).status is Status.SUCCEEDED


def test_workers_that_race_with_a_cancellation_agree_with_it(racers: Racers) -> None:
    """Whoever writes first decides; a cancelled task never commits a result."""
    for round_number in range(6):
        accepted = racers.submit("sample.echo", round_number)

        def act(number: int, accepted: Accepted = accepted) -> bool | None:
            if number:
                racers.work(f"w/{number}", racers.delivery(accepted))
                return None
            head = racers.events(accepted)[-1]
            if fold(racers.events(accepted)).status.terminal:
                return False
            cancelled = chain(
                task_id=head.task_id,
                seq=head.seq + 1,
                kind=Kind.CANCELLED,
                at_ms=racers.clock.now_ms(),
                actor="key:k1",
                attempt=head.attempt,
                body={},
                prev_hash=head.hash,
            )
            return asyncio.run(racers.log.append(cancelled)) is None

        was_cancelled = racers.at_once(4, act)[0]
        for receive in range(2, 5):
            racers.work(f"w/after/{receive}", racers.delivery(accepted, receive))
        status = fold(racers.events(accepted)).status
        assert (status is Status.CANCELLED) == bool(was_cancelled)
        assert status.terminal
        verify_chain(racers.events(accepted))
