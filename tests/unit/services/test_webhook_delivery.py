"""What becomes of a delivery: taken, tried again, held for a broken endpoint, given up; never lost on the way."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from flotilla.broadcast import TERMINAL, Answer, Breaker, Endpoint, EndpointState, Secret, WebhookMessage
from flotilla.models import Delivery
from flotilla.primitives.webhook_breaker import FAILURES
from flotilla.primitives.webhook_retry import LONGEST_HOLD_SECONDS, WINDOW_ENDS_SECONDS
from flotilla.primitives.webhook_signature import headers_for, secret_of
from flotilla.services.destinations import Destinations
from flotilla.services.webhook_delivery import WebhookDeliveries
from tests.fakes import ManualClock
from tests.fakes.broadcast import MemoryEndpoints, MemoryResolver, MemorySender, MemoryWebhookReceipts, Posted
from tests.unit.services.fleet import run

PUBLIC = "93.184.216.34"
SECRETS = [secret_of(bytes([number]) * 32) for number in range(3)]
HOUR = 3600


def down(_posted: Posted) -> Answer | None:
    return None


def answering(status: int, retry_after: str | None = None) -> Callable[[Posted], Answer]:
    return lambda _posted: Answer(status, retry_after)


class Post:
    """The queue's messages, one endpoint, and the webhook function between them, on one clock."""

    def __init__(self, endpoints: MemoryEndpoints | None = None, addresses: Sequence[str] = (PUBLIC,)) -> None:
        self.clock = ManualClock()
        self.endpoints = endpoints or MemoryEndpoints()
        self.sender = MemorySender()
        self.receipts = MemoryWebhookReceipts()
        self.resolver = MemoryResolver(addresses)
        self.began_ms = self.clock.now_ms()
        self.deliveries = WebhookDeliveries(
            endpoints=self.endpoints,
            destinations=Destinations(self.resolver),
            sender=self.sender,
            receipts=self.receipts,
            clock=self.clock,
            dice=random.Random(11),
        )
        endpoint = Endpoint("whk_1", "acme", "https://hooks.example/in", TERMINAL, None, (Secret(SECRETS[0]),), 0)
        run(self.endpoints.add(endpoint))

    @property
    def endpoint(self) -> Endpoint:
        return self.endpoints.endpoints["acme", "whk_1"]

    def change(self, **members: object) -> None:
        assert run(self.endpoints.change(replace(self.endpoint, **members)))  # type: ignore[arg-type]

    def message(self, number: int = 1, **members: object) -> Delivery:
        message = WebhookMessage(f"msg_{number}", "acme", "whk_1", "tsk_1", number, self.began_ms, '{"type":"t"}')
        return Delivery(f"m{number}", "receipt", "", 1, replace(message, **members).to_body())  # type: ignore[arg-type]

    def work(self, *deliveries: Delivery, seconds: float = 60) -> list[str]:
        """The messages that stay on the queue."""
        ends_ms = self.clock.now_ms() + int(seconds * 1000)
        return [delivery.message_id for delivery in run(self.deliveries.run(deliveries, ends_ms))]

    def until_done(self, delivery: Delivery, *, within_seconds: float) -> int:
        """Deliver whenever the message is visible, until it leaves the queue; how often it was looked at."""
        ends_ms = self.clock.now_ms() + int(within_seconds * 1000)
        looks = 0
        while self.clock.now_ms() <= ends_ms:
            looks += 1
            if not self.work(delivery):
                return looks
            self.clock.advance(self.receipts.held[-1][1])
        raise AssertionError("it never left the queue")


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_what_is_taken_leaves_the_queue_and_costs_no_write(post: Post, status: int) -> None:
    post.sender.endpoint = answering(status)
    assert post.work(post.message()) == []
    assert post.endpoints.calls == ["add", "get"]
    assert post.receipts == MemoryWebhookReceipts()


def test_a_request_is_signed_with_every_secret_that_is_valid_now(post: Post) -> None:
    now_ms = post.clock.now_ms()
    secrets = (Secret(SECRETS[0]), Secret(SECRETS[1], now_ms + 1), Secret(SECRETS[2], now_ms))
    post.change(secrets=secrets)
    post.work(post.message())
    (posted,) = post.sender.posted
    assert posted.headers == headers_for("msg_1", posted.body, secrets=SECRETS[:2], now_ms=now_ms)


def test_each_attempt_has_its_own_time_and_the_same_id(post: Post) -> None:
    post.sender.endpoint = answering(500)
    for _ in range(2):
        post.work(post.message())
        post.clock.advance(20)
    first, second = (posted.headers for posted in post.sender.posted)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 20


@pytest.mark.parametrize("status", [100, 301, 400, 401, 404, 408, 418, 429, 500, 502, 503, 504, 999])
def test_anything_else_is_tried_again(post: Post, status: int) -> None:
    post.sender.endpoint = answering(status)
    assert post.work(post.message()) == ["m1"]
    ((_, seconds),) = post.receipts.held
    assert 5 <= seconds <= 30


def test_no_answer_is_tried_again(post: Post) -> None:
    post.sender.endpoint = down
    assert post.work(post.message()) == ["m1"]


def test_a_sender_that_hangs_is_given_up_in_time(post: Post) -> None:
    """The sender keeps its own time; should it not, the attempt ends all the same."""

    async def hang() -> list[Delivery]:
        class Hanging(MemorySender):
            async def post(self, *_arguments: object, **_options: object) -> Answer:
                await asyncio.Event().wait()
                raise AssertionError

        deliveries = WebhookDeliveries(
            endpoints=post.endpoints,
            destinations=Destinations(post.resolver),
            sender=Hanging(),
            receipts=post.receipts,
            clock=post.clock,
            dice=random.Random(1),
            attempt_seconds=0.01,
        )
        return await deliveries.run([post.message()], post.clock.now_ms() + 60_000)

    assert len(run(hang())) == 1


def test_an_endpoint_that_is_down_for_good_gets_a_bounded_number_of_attempts_over_a_day(post: Post) -> None:
    post.sender.endpoint = down
    post.until_done(post.message(), within_seconds=LONGEST_HOLD_SECONDS + HOUR)
    assert post.receipts.aside == [("m1", "no attempt is left; the last one failed: no answer in time")]
    assert post.clock.now_ms() - post.began_ms >= WINDOW_ENDS_SECONDS[-2] * 1000
    assert 8 <= len(post.sender.posted) <= 13


def test_an_endpoint_that_comes_back_gets_what_was_kept_for_it(post: Post) -> None:
    post.sender.endpoint = lambda _posted: (
        Answer(204) if post.clock.now_ms() - post.began_ms > 8 * HOUR * 1000 else None
    )
    post.until_done(post.message(), within_seconds=20 * HOUR)
    assert post.receipts.aside == []
    assert post.endpoint.breaker == Breaker()


def test_what_is_given_up_is_put_aside_before_it_leaves_the_queue(post: Post) -> None:
    post.clock.advance(31 * HOUR)
    post.sender.endpoint = down
    post.receipts.down = True
    assert post.work(post.message()) == ["m1"], "nowhere else to keep it"
    post.receipts.down = False
    assert post.work(post.message()) == []
    assert len(post.receipts.aside) == 1


def test_gone_disables_the_endpoint_and_drops_what_is_on_its_way(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flotilla.webhook")
    post.sender.endpoint = answering(410)
    assert post.work(post.message()) == []
    assert post.endpoint.state is EndpointState.DISABLED
    assert post.work(post.message(2)) == []
    assert len(post.sender.posted) == 1
    assert post.receipts.aside == []
    assert [record.message for record in caplog.records] == [
        "endpoint is gone and was disabled",
        "endpoint wants no more",
    ]


def test_an_endpoint_that_was_removed_is_told_nothing_more(post: Post) -> None:
    run(post.endpoints.remove("acme", "whk_1"))
    assert post.work(post.message()) == []
    assert post.sender.posted == []


def test_an_endpoint_that_is_removed_during_an_attempt_is_not_brought_back(post: Post) -> None:
    def vanish(_posted: Posted) -> Answer:
        post.endpoints.endpoints.clear()
        return Answer(500)

    post.sender.endpoint = vanish
    assert post.work(post.message()) == ["m1"]
    assert post.endpoints.endpoints == {}


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_that_is_asked_for_is_kept_for_all_of_the_endpoints_messages(post: Post, status: int) -> None:
    post.sender.endpoint = answering(status, "120")
    assert post.work(post.message()) == ["m1"]
    assert post.receipts.held == [("m1", 120)]
    post.clock.advance(60)
    assert post.work(post.message(2)) == ["m2"]
    assert len(post.sender.posted) == 1
    assert post.receipts.held[1][1] >= 60


def test_a_pause_is_asked_for_by_these_answers_only(post: Post) -> None:
    post.sender.endpoint = answering(500, "3000")
    post.work(post.message())
    assert post.receipts.held[0][1] <= 30


def test_a_broken_endpoint_is_spared(post: Post) -> None:
    post.sender.endpoint = down
    for number in range(FAILURES):
        post.work(post.message(number))
    assert post.work(*(post.message(number) for number in range(100, 110))) == [f"m{n}" for n in range(100, 110)]
    assert len(post.sender.posted) == FAILURES
    assert post.endpoints.calls.count("change") == FAILURES, "what is held writes nothing"


def test_after_the_cooldown_one_message_is_the_probe(post: Post) -> None:
    post.sender.endpoint = down
    for number in range(FAILURES):
        post.work(post.message(number))
    post.clock.advance(30)
    assert len(post.work(*(post.message(number) for number in range(10)))) == 10
    assert len(post.sender.posted) == FAILURES + 1
    post.clock.advance(60)
    post.sender.endpoint = answering(204)
    assert len(post.work(*(post.message(number) for number in range(10)))) == 9
    assert post.endpoint.breaker == Breaker()
    assert post.work(*(post.message(number) for number in range(1, 10))) == []


def test_a_probe_whose_process_dies_is_followed_by_another(post: Post) -> None:
    breaker = Breaker(FAILURES, 1, post.clock.now_ms())
    post.change(breaker=breaker)

    class Died(BaseException):
        """The process is gone."""

    def die(_posted: Posted) -> Answer:
        raise Died

    post.sender.endpoint = die
    with pytest.raises(Died):
        post.work(post.message())
    post.sender.endpoint = answering(204)
    assert post.work(post.message()) == ["m1"]
    post.clock.advance(30)
    assert post.work(post.message()) == []


def test_looks_at_a_broken_endpoint_use_up_no_attempt(post: Post) -> None:
    """However often it was looked at, a message is tried once more when the endpoint is well."""
    post.change(breaker=Breaker(FAILURES, 1, post.clock.now_ms() + 40 * HOUR * 1000))
    post.clock.advance(39 * HOUR)
    for _ in range(50):
        assert post.work(post.message()) == ["m1"]
    post.clock.advance(2 * HOUR)
    assert post.work(post.message()) == []
    assert len(post.sender.posted) == 1


def test_what_was_held_for_days_is_given_up_before_the_queue_forgets_it(post: Post) -> None:
    post.clock.advance(LONGEST_HOLD_SECONDS + 1)
    post.change(breaker=Breaker(FAILURES, 9, post.clock.now_ms() + 1000))
    assert post.work(post.message()) == []
    assert post.receipts.aside == [("m1", "its endpoint was down for too long")]


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["169.254.169.254"], [PUBLIC, "127.0.0.1"], []])
def test_a_host_that_leads_inside_or_nowhere_is_not_called(addresses: list[str]) -> None:
    post = Post(addresses=addresses)
    assert post.work(post.message()) == ["m1"]
    assert post.sender.posted == []


def test_a_url_that_is_no_longer_allowed_is_not_called(post: Post) -> None:
    post.change(url="http://127.0.0.1:9000/")  # registered where it was allowed
    assert post.work(post.message()) == ["m1"]
    assert post.resolver.asked == []
    assert post.sender.posted == []


def test_without_endpoints_nothing_is_sent_and_nothing_lost(post: Post) -> None:
    post.endpoints.down = True
    assert post.work(post.message()) == ["m1"]
    assert post.sender.posted == []
    assert post.receipts.held[0][1] >= 30


class LosingChanges(MemoryEndpoints):
    """A store that goes down between reading and writing."""

    async def change(self, endpoint: Endpoint) -> bool:
        self.down = True
        return await super().change(endpoint)


def test_a_breaker_that_cannot_be_stored_is_in_nobodys_way() -> None:
    post = Post(LosingChanges())
    post.sender.endpoint = down
    assert post.work(post.message()) == ["m1"]
    assert post.receipts.held


def test_two_failures_at_once_both_count(post: Post) -> None:
    post.sender.endpoint = down
    post.work(*(post.message(number) for number in range(3)))
    assert post.endpoint.breaker.failures == 3


def test_a_rotation_during_an_attempt_is_kept(post: Post) -> None:
    def rotate(_posted: Posted) -> Answer:
        post.endpoints.endpoints["acme", "whk_1"] = replace(
            post.endpoint, secrets=(Secret(SECRETS[1]),), version=post.endpoint.version + 1
        )
        return Answer(500)

    post.sender.endpoint = rotate
    post.work(post.message())
    assert post.endpoint.secrets == (Secret(SECRETS[1]),)
    assert post.endpoint.breaker.failures == 1


def test_a_message_that_nobody_can_read_is_put_aside(post: Post) -> None:
    assert post.work(Delivery("m9", "receipt", "", 1, "{}")) == []
    assert post.receipts.aside == [("m9", "not a webhook message: KeyError")]


def test_what_there_is_no_time_for_is_left_for_the_next_invocation(post: Post) -> None:
    assert post.work(post.message(), seconds=5) == ["m1"]
    assert post.sender.posted == []
    assert post.receipts.held == [("m1", 0)]


def test_the_messages_of_a_batch_do_not_wait_for_each_other(post: Post) -> None:
    running: list[int] = []

    class Slow(MemorySender):
        async def post(self, *arguments: object, **options: object) -> Answer:
            running.append(1)
            while len(running) < 10:
                await asyncio.sleep(0)
            return Answer(204)

    deliveries = WebhookDeliveries(
        endpoints=post.endpoints,
        destinations=Destinations(post.resolver),
        sender=Slow(),
        receipts=post.receipts,
        clock=post.clock,
        dice=random.Random(1),
    )
    batch = [post.message(number) for number in range(10)]
    assert run(deliveries.run(batch, post.clock.now_ms() + 60_000)) == []


def test_no_log_line_tells_a_secret_or_a_payload(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for answer in (answering(200), answering(500), answering(410)):
        post.sender.endpoint = answer
        post.work(post.message(payload='{"private": 1}'))
    text = " ".join(str(record.__dict__) for record in caplog.records)
    assert "whsec" not in text
    assert "private" not in text
