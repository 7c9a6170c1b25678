"""The contracts of `BucketStore` and `LimitSettings`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from flotilla.limit_ports import BucketStore, Drawn, LimitSettings
from flotilla.primitives.token_bucket import Add, Bucket, Draw, Limit, Make, Rebase, Shift, Spill, after

BUCKET = Bucket(
    drawn_milli=28_333_333_333_000,
    rate_per_minute=1000,
    based_ms=1_700_000_000_000,
    clock_ms=1_699_999_999_000,
    writes=1,
)
EXPIRES_AT = 4_000_000_000


def draw(buckets: BucketStore, wanted: Draw, name: str = "client#k1") -> Drawn:
    return asyncio.run(buckets.draw(name, wanted, EXPIRES_AT))


def add(amount: int, *, least: int = 0, most: int = 10**15, rate: int = 1000, clock_ms: int = 5) -> Add:
    return Add(rate, amount, least, most, clock_ms)


def now(buckets: BucketStore, name: str = "client#k1") -> Bucket | None:
    return asyncio.run(buckets.look(name)).before


class BucketsContract:
    """Provide a fixture `buckets`: a store without a bucket."""

    def test_a_bucket_is_made_once(self, buckets: BucketStore) -> None:
        assert now(buckets) is None
        assert draw(buckets, Make(BUCKET, 1000)) == Drawn(done=True, before=None)
        assert draw(buckets, Make(replace(BUCKET, drawn_milli=1), 1000)) == Drawn(done=False, before=BUCKET)
        assert now(buckets) == BUCKET

    def test_names_have_buckets_of_their_own(self, buckets: BucketStore) -> None:
        draw(buckets, Make(BUCKET, 1000))
        assert draw(buckets, Make(BUCKET, 1000), "client#k2").done
        assert draw(buckets, add(1), "client#k3") == Drawn(done=False, before=None)

    def test_draws_add_up_whoever_makes_them(self, buckets: BucketStore) -> None:
        draw(buckets, Make(BUCKET, 1000))
        first = draw(buckets, add(3000))
        assert first == Drawn(done=True, before=BUCKET)
        second = draw(buckets, add(2000, clock_ms=7))
        assert second.before == after(add(3000), BUCKET)
        assert now(buckets) == replace(BUCKET, drawn_milli=BUCKET.drawn_milli + 5000, clock_ms=7, writes=3)

    def test_a_draw_is_done_only_between_its_bounds_and_at_its_rate(self, buckets: BucketStore) -> None:
        draw(buckets, Make(BUCKET, 1000))
        drawn = BUCKET.drawn_milli
        for refused in (add(1, least=drawn + 1), add(1, most=drawn - 1), add(1, rate=999)):
            assert draw(buckets, refused) == Drawn(done=False, before=BUCKET)
        assert draw(buckets, add(1, least=drawn, most=drawn)).done

    def test_a_bucket_that_ran_over_is_set_to_what_is_drawn_then(self, buckets: BucketStore) -> None:
        draw(buckets, Make(BUCKET, 1000))
        drawn = BUCKET.drawn_milli
        assert not draw(buckets, Spill(1000, 10, drawn, drawn + 10, 6)).done, "it is not less than that"
        assert not draw(buckets, Spill(999, 10, drawn + 5, drawn + 15, 6)).done
        assert draw(buckets, Spill(1000, 10, drawn + 5, drawn + 15, 6)).done
        assert now(buckets) == replace(BUCKET, drawn_milli=drawn + 15, clock_ms=6, writes=2)

    def test_a_rate_changes_only_where_the_bucket_is_as_seen(self, buckets: BucketStore) -> None:
        draw(buckets, Make(BUCKET, 1000))
        draw(buckets, add(1))
        wanted = Bucket(77, 60, BUCKET.based_ms + 1, BUCKET.clock_ms + 1, 3)
        assert not draw(buckets, Rebase(BUCKET, wanted, 5)).done
        seen = now(buckets)
        assert seen is not None
        assert draw(buckets, Rebase(seen, wanted, 5)) == Drawn(done=True, before=seen)
        assert now(buckets) == wanted

    def test_what_is_given_back_is_given_back_once(self, buckets: BucketStore) -> None:
        draw(buckets, Make(BUCKET, 1000))
        back = Shift(-400, BUCKET, 9)
        assert draw(buckets, back).done
        again = draw(buckets, back)
        assert not again.done
        assert again.before == after(back, BUCKET)

    def test_a_charge_is_made_whatever_is_drawn_but_makes_no_bucket(self, buckets: BucketStore) -> None:
        assert draw(buckets, Shift(10**12, None, 9)) == Drawn(done=False, before=None)
        draw(buckets, Make(BUCKET, 1000))
        draw(buckets, add(1))
        assert draw(buckets, Shift(10**12, None, 9)).done
        found = now(buckets)
        assert found is not None
        assert found.drawn_milli == BUCKET.drawn_milli + 1 + 10**12

    def test_of_many_who_draw_at_once_none_is_lost_and_none_goes_beyond(self, buckets: BucketStore) -> None:
        draw(buckets, Make(BUCKET, 1000))
        most = BUCKET.drawn_milli + 5000

        async def all_at_once() -> list[Drawn]:
            return list(
                await asyncio.gather(*(buckets.draw("client#k1", add(1000, most=most), EXPIRES_AT) for _ in range(12)))
            )

        assert sum(answer.done for answer in asyncio.run(all_at_once())) == 6
        found = now(buckets)
        assert found is not None
        assert found.drawn_milli == BUCKET.drawn_milli + 6000


class LimitSettingsContract:
    """Provide a fixture `settings`: a store in which no limit is set."""

    def test_what_was_set_last_holds_until_it_is_removed(self, settings: LimitSettings) -> None:
        async def walk() -> list[dict[str, Limit]]:
            seen = [await settings.read()]
            await settings.put("client#k1", Limit(60, 10))
            await settings.put("integration#größe", Limit(1, 1))
            await settings.put("client#k1", Limit(90, 20))
            seen.append(await settings.read())
            await settings.remove("client#k1")
            await settings.remove("client#k1")
            seen.append(await settings.read())
            return seen

        other = {"integration#größe": Limit(1, 1)}
        assert asyncio.run(walk()) == [{}, {"client#k1": Limit(90, 20), **other}, other]
