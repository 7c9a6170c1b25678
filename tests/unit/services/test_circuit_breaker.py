"""The breaker of one environment, together with others: what is known to one is known to all, and never in the way."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from flotilla.errors import CircuitOpenError, ParkedError, PermanentError, RetryableError
from flotilla.primitives.circuit import CircuitMode, CircuitState, forced
from flotilla.primitives.circuit_guard import FAILURES
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.circuit_breaker import CircuitBreaker
from tests.unit.services.circuit_fleet import FAILED, NAME, OK, POLICY, UNKNOWN, Scene, refusal, run

CLOSED, OPEN, HALF_OPEN, RAMPING = CircuitState


async def settled(breaker: CircuitBreaker) -> float | None:
    """Ask for leave: None, or the seconds to wait."""
    try:
        await breaker.before()
    except CircuitOpenError as error:
        return error.retry_after_seconds
    return None


def test_healthy_calls_cost_a_read_and_a_write_in_twenty_at_most() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.healthy(breaker, 300)

    run(scenario())
    assert scene.store.reads <= 0.05 * 3000
    assert scene.store.writes <= 0.05 * 3000
    assert scene.store.queries == 0


def test_all_who_call_at_once_share_one_read() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await asyncio.gather(*(breaker.before() for _ in range(50)))

    run(scenario())
    assert scene.store.reads == 1


def test_an_environment_alone_opens_the_circuit_at_the_minimum_volume() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.healthy(breaker)
        assert POLICY.minimum_volume <= await scene.open(breaker) <= POLICY.minimum_volume + 3
        refused = await refusal(breaker)
        left = (scene.record.until_ms - scene.clock.now_ms()) / 1000
        assert left < refused.retry_after_seconds <= 1.3 * left
        assert (refused.circuit, refused.code) == (NAME, "circuit_open")
        assert isinstance(refused, ParkedError)

    run(scenario())
    assert scene.states == [OPEN]


def test_what_is_held_back_does_not_come_back_at_once() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        waits = {(await refusal(breaker)).retry_after_seconds for _ in range(50)}
        assert len(waits) > 40

    run(scenario())


def test_who_fails_once_sees_what_another_has_found() -> None:
    scene = Scene()

    async def scenario() -> None:
        one, other = scene.environment(), scene.environment()
        await scene.healthy(one)
        await scene.healthy(other)
        await scene.call(other)
        called_ms = scene.clock.now_ms()
        await scene.open(one)
        # As if at the same time: after a pause, or where its knowledge is too old, the other would look anyway.
        scene.clock.advance((called_ms - scene.clock.now_ms()) / 1000)
        await scene.call(other, FAILED)
        scene.clock.advance(1.0)
        await refusal(other)

    run(scenario())


def test_who_does_not_call_sees_it_once_its_knowledge_is_too_old() -> None:
    scene = Scene()

    async def scenario() -> None:
        one, other = scene.environment(), scene.environment()
        await scene.call(other)
        await scene.open(one)
        scene.clock.advance(POLICY.state_ttl_ms * 1.25 / 1000)
        await refusal(other)

    run(scenario())


def test_after_the_cooldown_one_call_tries_and_the_others_wait() -> None:
    scene = Scene()

    async def scenario() -> None:
        breakers = [scene.environment() for _ in range(20)]
        await scene.open(breakers[0])
        scene.to_the_end_of_the_cooldown()
        outcomes = await asyncio.gather(*(breaker.before() for breaker in breakers), return_exceptions=True)
        probes = [one for one in outcomes if not isinstance(one, BaseException)]
        assert len(probes) == 1
        assert probes[0].lease is not None
        assert sum(isinstance(one, CircuitOpenError) for one in outcomes) == 19

    run(scenario())
    assert scene.states == [OPEN, HALF_OPEN], "told once, by the one that made the step"


def test_probes_that_succeed_close_it_step_by_step() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        scene.to_the_end_of_the_cooldown()
        for _ in range(POLICY.probes_to_close):
            assert (await scene.call(breaker)).lease is not None
        assert scene.record.state is RAMPING
        assert scene.store.leases == {}
        await refusal_in_ramp(breaker)
        scene.to_the_end_of_the_cooldown()
        assert (await scene.call(breaker)).lease is None
        assert scene.record.state is CLOSED

    async def refusal_in_ramp(breaker: CircuitBreaker) -> None:
        asked = [await settled(breaker) for _ in range(200)]
        waits = [one for one in asked if one is not None]
        assert 0 < len(asked) - len(waits) < len(waits)
        assert max(waits) <= 5

    run(scenario())
    assert scene.states == [OPEN, HALF_OPEN, RAMPING, CLOSED]


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        first = scene.record.cooldown_ms
        scene.to_the_end_of_the_cooldown()
        await scene.call(breaker, FAILED)
        assert scene.record.state is OPEN
        assert scene.record.cooldown_ms == 2 * first
        assert scene.store.leases == {}

    run(scenario())


def test_a_probe_that_takes_too_long_has_not_succeeded() -> None:
    scene = Scene(CircuitPolicy(latency_p99_ms=500))

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        scene.to_the_end_of_the_cooldown()
        await scene.call(breaker, OK, seconds=0.6)
        assert (scene.record.state, scene.record.reason) == (OPEN, "a probe was slow")

    run(scenario())


def test_a_probe_that_says_nothing_is_given_back() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        scene.to_the_end_of_the_cooldown()
        await scene.call(breaker, UNKNOWN)
        assert scene.record.state is HALF_OPEN
        assert scene.store.leases == {}

    run(scenario())


def test_an_environment_that_dies_while_probing_holds_up_nothing_for_long() -> None:
    scene = Scene()

    async def scenario() -> None:
        dying, other = scene.environment(), scene.environment()
        await scene.open(dying)
        scene.to_the_end_of_the_cooldown()
        assert (await dying.before()).lease is not None
        await refusal(other)
        for _ in range(20):
            scene.clock.advance(POLICY.probe_stagger_ms / 1000)
            try:
                await scene.call(other)
            except CircuitOpenError:
                continue
        assert scene.record.state is CLOSED
        assert len(scene.store.leases) == 1, "the dead one's, which is never given back"

    run(scenario())


def test_never_more_probes_than_leased_even_while_none_answers() -> None:
    scene = Scene(CircuitPolicy(probe_lease_ms=120_000))

    async def scenario() -> None:
        breakers = [scene.environment() for _ in range(20)]
        await scene.open(breakers[0])
        scene.to_the_end_of_the_cooldown()
        probes = 0
        for _ in range(60):
            scene.clock.advance(0.5)
            found = await asyncio.gather(*(breaker.before() for breaker in breakers), return_exceptions=True)
            probes += sum(not isinstance(one, BaseException) for one in found)
        assert probes == POLICY.probes

    run(scenario())


def test_who_believes_it_half_open_while_it_has_opened_anew_does_not_call() -> None:
    scene = Scene()

    async def scenario() -> None:
        prober, late = scene.environment(), scene.environment()
        await scene.open(prober)
        scene.to_the_end_of_the_cooldown()
        passage = await prober.before()
        await refusal(late)
        await prober.record(passage, FAILED)
        scene.clock.advance(0.1)
        await refusal(late)
        assert scene.store.leases == {}

    run(scenario())


def test_what_a_block_ends_with_says_what_the_call_came_to() -> None:
    scene = Scene()

    async def ends_with(error: BaseException | None) -> int:
        breaker = scene.environment()
        for _ in range(8):
            with suppress(BaseException):
                async with breaker.call():
                    if error is not None:
                        raise error
        await breaker.flush(everything=True)
        failed = sum(columns["failed"] for columns in scene.store.counts.get(NAME, {}).values())
        scene.store.counts.clear()
        scene.store.records.clear()
        return failed

    async def scenario() -> None:
        assert await ends_with(None) == 0
        assert await ends_with(PermanentError("no such customer")) == 0
        assert await ends_with(ParkedError("slow down")) == 0
        assert await ends_with(asyncio.CancelledError()) == 0
        assert await ends_with(RetryableError("busy")) > 5
        assert await ends_with(ConnectionResetError()) > 5

    run(scenario())


def test_what_a_block_says_itself_counts_more_than_its_error() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        with suppress(RetryableError):
            async with breaker.call() as call:
                call.outcome = OK
                raise RetryableError("429")
        async with breaker.call() as call:
            call.outcome = FAILED
        await breaker.flush(everything=True)

    run(scenario())
    (columns,) = scene.store.counts[NAME].values()
    assert (columns["ok"], columns["failed"]) == (1, 1)


def test_what_waits_is_sent_at_the_end_of_a_batch_once_it_is_old_enough() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.call(breaker)
        await scene.call(breaker)
        writes = scene.store.writes
        await breaker.flush()
        assert scene.store.writes == writes
        scene.clock.advance(POLICY.report_every_ms / 1000)
        await breaker.flush()
        await breaker.flush()
        assert scene.store.writes == writes + 1
        await scene.call(breaker)
        await scene.call(breaker)
        await breaker.flush(everything=True)

    run(scenario())
    assert sum(columns["ok"] for columns in scene.store.counts[NAME].values()) == 4


def test_an_operator_s_word_is_kept_to() -> None:
    scene = Scene()

    async def force(mode: CircuitMode) -> None:
        step = forced(scene.record, mode, scene.clock.now_ms(), reason="maintenance", by="key:k1")
        assert step is not None
        assert await scene.store.transition(NAME, step) is None
        scene.clock.advance(3)

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.call(breaker)
        await force(CircuitMode.OPEN)
        assert 5 < (await refusal(breaker)).retry_after_seconds < 60
        scene.clock.advance(3600)
        await refusal(breaker)
        await force(CircuitMode.CLOSED)
        for _ in range(5 * FAILURES):
            await scene.call(breaker, FAILED)
        assert scene.record.state is CLOSED
        await force(CircuitMode.OPEN)
        await force(CircuitMode.AUTO)
        assert (await scene.call(breaker)).lease is not None

    run(scenario())
