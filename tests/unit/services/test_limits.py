"""What an ask costs and what it is answered: from several limits all or nothing, settled after, open when blind."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from flotilla.errors import LimitedError, PermanentError, StoreUnavailableError
from flotilla.limit_ports import Drawn
from flotilla.primitives.token_bucket import Draw, Limit
from flotilla.primitives.token_lease import NO_LEASES, Leasing
from flotilla.services.limit_board import LimitBoard
from flotilla.services.limits import Ask, Limiter, kind_of
from tests.fakes import ManualClock
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings
from tests.fakes.metrics import MemoryMetrics

CLIENT = Ask("client#k1", Limit(600, 10))
CRM = Ask("integration#crm", Limit(60, 3))
TOKENS = Ask("model#fast.tokens", Limit(60_000, 5000), 1000)


class Buckets(MemoryBuckets):
    """Can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    async def look(self, name: str) -> Drawn:
        if self.down:
            raise StoreUnavailableError("down", code="buckets_unavailable")
        return await super().look(name)

    async def draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        if self.down:
            self.writes += 1
            raise StoreUnavailableError("down", code="buckets_unavailable")
        return await super().draw(name, draw, expires_at)


class World:
    """Processes over one store and one clock that a test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.buckets = Buckets()
        self.settings = MemoryLimitSettings()
        self.metrics = MemoryMetrics()

    def limiter(self, leasing: Leasing = NO_LEASES, *, board: bool = False) -> Limiter:
        return Limiter(
            self.buckets,
            self.clock,
            random.Random(1),
            board=LimitBoard(self.settings, self.clock) if board else None,
            leasing=leasing,
            skew_ms=0,
            elapsed_ms=self.clock.now_ms,
            metrics=self.metrics,
        )


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def uses(limiter: Limiter, *asks: Ask) -> int:
    """How often it can be done at once."""
    for done in range(10_000):
        try:
            await limiter.acquire(*asks)
        except LimitedError:
            return done
    raise AssertionError("no limit at all")


def test_the_burst_is_there_at_once_and_then_as_much_as_the_rate_allows() -> None:
    world = World()

    async def walk() -> list[int]:
        limiter = world.limiter()
        found = [await uses(limiter, CLIENT)]
        world.clock.advance(0.5)
        found.append(await uses(limiter, CLIENT))
        world.clock.advance(3600)
        found.append(await uses(limiter, CLIENT))
        return found

    assert run(walk()) == [10, 5, 10]


def test_a_refusal_says_when_and_costs_nothing_until_then() -> None:
    world = World()

    async def walk() -> None:
        limiter = world.limiter()
        await uses(limiter, CLIENT)
        writes = world.buckets.writes
        for _ in range(50):
            with pytest.raises(LimitedError) as refused:
                await limiter.acquire(CLIENT)
            assert refused.value.limit == "client#k1"
            assert refused.value.retry_after_seconds == pytest.approx(0.1, abs=0.002)
        assert world.buckets.writes - writes <= 1, "a place in the queue"
        world.clock.advance(0.102)
        await limiter.acquire(CLIENT)
        assert world.buckets.writes - writes <= 1

    run(walk())


def test_who_has_patience_waits() -> None:
    world = World()

    async def walk() -> int:
        limiter = world.limiter()
        await uses(limiter, CLIENT)
        before = world.clock.now_ms()
        admission = await limiter.acquire(CLIENT, patience_seconds=1)
        assert world.clock.now_ms() - before == admission.waited_ms
        return admission.waited_ms

    assert 100 <= run(walk()) <= 102


def test_several_limits_give_all_or_nothing() -> None:
    world = World()

    async def walk() -> tuple[int, int]:
        limiter = world.limiter()
        together = await uses(limiter, CLIENT, CRM)
        for _ in range(20):
            with pytest.raises(LimitedError) as refused:
                await limiter.acquire(CLIENT, CRM)
            assert refused.value.limit == "integration#crm"
        return together, await uses(limiter, CLIENT)

    assert run(walk()) == (3, 7), "what the one refused, the other kept"


def test_what_one_gave_before_another_refused_is_used_next_or_given_back() -> None:
    world = World()

    async def walk() -> tuple[int, int]:
        others, limiter = world.limiter(), world.limiter()
        await uses(others, CRM)
        with pytest.raises(LimitedError):
            await limiter.acquire(CLIENT, CRM)
        writes = world.buckets.writes
        await limiter.acquire(CLIENT)
        assert world.buckets.writes == writes
        with pytest.raises(LimitedError):
            await world.limiter().acquire(CLIENT, CRM)
        await limiter.release()
        return await uses(limiter, CLIENT), await uses(others, CLIENT)

    assert run(walk()) == (8, 0), "the third process still holds one"


def test_what_was_not_used_is_given_back_and_what_was_used_beyond_is_charged() -> None:
    world = World()

    async def walk() -> list[int]:
        limiter = world.limiter()
        admission = await limiter.acquire(TOKENS)
        await limiter.settle(admission, {"model#fast.tokens": 200})
        found = [await uses(limiter, TOKENS)]
        world.clock.advance(60)
        admission = await limiter.acquire(TOKENS)
        await limiter.settle(admission, {"model#fast.tokens": 7000})
        found.append(await uses(limiter, TOKENS))
        world.clock.advance(2.9)
        found.append(await uses(limiter, TOKENS))
        world.clock.advance(0.2)
        found.append(await uses(limiter, TOKENS))
        admission = await world.limiter().acquire(CLIENT)
        await world.limiter().refund(admission)
        return found

    assert run(walk()) == [4, 0, 0, 1]


def test_leases_cost_a_fraction_and_are_given_back_by_who_is_done() -> None:
    world = World()
    ask = Ask("integration#crm", Limit(60_000, 1000))

    async def walk() -> None:
        limiter = world.limiter(Leasing())
        for _ in range(200):
            await limiter.acquire(ask)
            world.clock.advance(0.01)
        assert world.buckets.writes <= 20
        await limiter.release()
        assert await uses(world.limiter(), ask) >= 999

    run(walk())


def test_a_process_that_stood_still_does_not_use_what_it_held() -> None:
    """Its own clock did not go on, so only the wall clock tells that its leases have run out."""
    world = World()
    elapsed = [0]
    ask = Ask("integration#crm", Limit(60, 1000))

    async def walk() -> None:
        limiter = Limiter(
            world.buckets, world.clock, random.Random(1), skew_ms=0, elapsed_ms=lambda: elapsed[0], leasing=Leasing()
        )
        for _ in range(3):
            await limiter.acquire(ask)
        writes = world.buckets.writes
        await limiter.acquire(ask)
        assert world.buckets.writes == writes
        world.clock.advance(600)
        await limiter.acquire(ask)
        assert world.buckets.writes == writes + 1

    run(walk())


def test_more_at_once_than_ever_fits_is_nothing_to_wait_for() -> None:
    with pytest.raises(PermanentError) as refused:
        run(World().limiter().acquire(Ask("client#k1", Limit(600, 10), 11)))
    assert refused.value.code == "limit_too_small"


def test_a_store_that_is_down_leaves_each_process_its_own_share(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    async def walk() -> None:
        limiter = world.limiter()
        await limiter.acquire(CLIENT)
        world.buckets.down = True
        assert await uses(limiter, CLIENT) == 10
        writes = world.buckets.writes
        world.clock.advance(0.3)
        admission = await limiter.acquire(CLIENT)
        await limiter.refund(admission)
        assert world.buckets.writes == writes, "asked again after a while, not every time"
        world.buckets.down = False
        world.clock.advance(2)
        assert await uses(limiter, CLIENT) == 10, "what the guard let pass is none of the bucket's"

    with caplog.at_level(logging.INFO, logger="flotilla.limits"):
        run(walk())
    assert [record.message for record in caplog.records] == ["protection unavailable", "protection available again"]
    assert getattr(caplog.records[0], "code") == "buckets_unavailable"  # noqa: B009 - extra
    assert world.metrics.counted("ProtectionUnavailable", protection="limit") == 1


def test_an_outage_is_counted_for_as_long_as_it_lasts_and_refusals_by_kind() -> None:
    world = World()

    async def walk() -> None:
        limiter = world.limiter()
        world.buckets.down = True
        for _ in range(5):
            await limiter.acquire(CLIENT)
            world.clock.advance(2)
        of_tenant = Ask("integration#crm.tenant#acme", Limit(1, 1))
        await limiter.acquire(CRM, of_tenant)
        with pytest.raises(LimitedError):
            await limiter.acquire(of_tenant)

    run(walk())
    assert world.metrics.counted("ProtectionUnavailable", protection="limit") >= 5
    assert world.metrics.counted("LimitRefusals", limit="integration#crm.tenant") == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("client#k1", "client"),
        ("agent#document.summarize", "agent"),
        ("integration#crm", "integration#crm"),
        ("integration#crm.agent#a.b", "integration#crm.agent"),
        ("model#fast.tokens", "model#fast.tokens"),
    ],
)
def test_what_has_thousands_of_values_is_no_dimension(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_how_a_limit_stands_can_be_told() -> None:
    world = World()

    async def walk() -> tuple[int, int]:
        limiter = world.limiter()
        for _ in range(4):
            await limiter.acquire(CLIENT)
        standing = await limiter.standing(CLIENT)
        assert standing is not None
        return standing.remaining, standing.reset_seconds

    assert run(walk()) == (6, 1)


def test_a_limit_set_at_run_time_holds_within_seconds_and_costs_a_read_each(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    async def walk() -> None:
        limiter = world.limiter(board=True)
        assert await uses(limiter, CLIENT) == 10
        await world.settings.put("client#k1", Limit(6000, 50))
        world.clock.advance(4.9)
        await limiter.acquire(CLIENT)
        world.clock.advance(0.2)
        world.clock.advance(3600)
        assert await uses(limiter, CLIENT) == 50
        await world.settings.remove("client#k1")
        world.clock.advance(5)
        assert await uses(limiter, CLIENT) == 10
        assert world.settings.reads == 3
        undeclared = Ask("client#k2", None)
        assert (await limiter.acquire(undeclared)).tokens == {}
        await world.settings.put("client#k2", Limit(1, 2))
        world.clock.advance(5)
        assert await uses(limiter, undeclared) == 2

    run(walk())


def test_limits_that_cannot_be_read_stay_as_they_were_known() -> None:
    world = World()

    class Down(MemoryLimitSettings):
        async def read(self) -> dict[str, Limit]:
            if self.reads:
                raise StoreUnavailableError("down")
            return await super().read()

    settings = Down()
    settings.limits["client#k1"] = Limit(1, 2)

    async def walk() -> None:
        board = LimitBoard(settings, world.clock, metrics=world.metrics)
        assert await board.limit("client#k1", CLIENT.limit) == Limit(1, 2)
        world.clock.advance(6)
        assert await board.limit("client#k1", CLIENT.limit) == Limit(1, 2)
        assert await board.all({"a": Limit(3, 3)}) == {"a": Limit(3, 3), "client#k1": Limit(1, 2)}
        assert world.metrics.counted("ProtectionUnavailable", protection="limit") == 1

    run(walk())
