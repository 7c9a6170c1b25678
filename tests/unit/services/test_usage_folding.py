"""From logs to what an hour came to: all that was used, each end once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flotilla.events import Event, Kind, fold
from flotilla.primitives.usage_hour import HOUR_MS, UNNAMED, UsageHour, hour_of
from flotilla.services.usage_folding import HourFold, RequestPrices
from tests.logs import START_MS, LogBuilder

HOUR = hour_of(START_MS)
PRICES = RequestPrices(write_unit_usd=0.000000625, message_usd=0.00000065)
USED = {
    "duration_ms": 40,
    "billed_ms": 12,
    "cpu_ms": 3.5,
    "memory_mb": 1024,
    "peak_memory_mb": 120,
    "compute_usd": 0.00000018,
}
CALLED = USED | {
    "model_calls": 2,
    "input_tokens": 100,
    "output_tokens": 30,
    "cost_usd": 0.000321,
    "models": {
        "nova": {"calls": 1, "input_tokens": 60, "output_tokens": 10, "cost_usd": 0.000121},
        "opus": {
            "calls": 1,
            "input_tokens": 40,
            "output_tokens": 20,
            "cached_input_tokens": 8,
            "cost_usd": 0.0002,
        },
    },
}


def summed(*logs: list[Event], begins_ms: int = HOUR) -> UsageHour:
    found = HourFold(begins_ms, PRICES)
    found.add(logs)
    return found.hour


def log(task: str, *steps: tuple[Kind, dict[str, Any]], at_ms: int = START_MS, **first: Any) -> list[Event]:
    builder = LogBuilder(f"tsk_{task}")
    builder.add(Kind.ACCEPTED, at_ms=at_ms, **first)
    for kind, body in steps:
        builder.add(kind, at_ms=body.pop("at_ms", at_ms), attempt=1, **body)
    return builder.events


def succeeded(task: str, usage: dict[str, Any] | None = None, **first: Any) -> list[Event]:
    return log(task, (Kind.STARTED, {}), (Kind.SUCCEEDED, {"usage": USED if usage is None else usage}), **first)


def test_a_task_is_counted_with_all_that_it_used() -> None:
    hour = summed(succeeded("a", CALLED))
    total = hour.total
    assert (total.tasks, total.succeeded, total.attempts) == (1, 1, 1)
    assert (total.model_nanos, total.compute_nanos, total.requests_nanos) == (321_000, 180, 3 * 625 + 650)
    assert (total.billed_ms, total.duration_ms, total.cpu_us) == (12, 40, 3500)
    assert (total.model_calls, total.input_tokens, total.output_tokens, total.cached_input_tokens) == (2, 100, 30, 8)
    assert hour.groups["agent"] == {"sample.echo": total}
    assert hour.groups["tenant"] == {"acme": total}
    assert hour.groups["lane"] == {"standard": total}
    assert (hour.costs.tasks, hour.costs.nanos) == (1, total.nanos)
    use = hour.memory["standard"][1024]
    assert (use.attempts, use.billed_ms, use.cpu_us, use.peak_memory_mb) == (1, 12, 3500, 120)


def test_models_are_told_apart_and_add_up_to_what_models_cost() -> None:
    models = summed(succeeded("a", CALLED), succeeded("b", CALLED)).groups["model"]
    assert {name: (sums.tasks, sums.model_calls, sums.model_nanos) for name, sums in models.items()} == {
        "nova": (2, 2, 242_000),
        "opus": (2, 2, 400_000),
    }
    assert models["opus"].cached_input_tokens == 16


def test_calls_of_which_no_model_is_known_stand_under_a_name_of_their_own() -> None:
    older = {name: value for name, value in CALLED.items() if name != "models"}
    hour = summed(succeeded("a", older))
    assert hour.groups["model"][UNNAMED].model_nanos == hour.total.model_nanos == 321_000
    assert hour.groups["model"][UNNAMED].model_calls == 2


def test_attempts_that_failed_were_parked_or_waited_count_with_the_one_that_ended() -> None:
    hour = summed(
        log(
            "a",
            (Kind.STARTED, {}),
            (Kind.ATTEMPT_FAILED, {"usage": CALLED}),
            (Kind.STARTED, {}),
            (Kind.PARKED, {"usage": USED}),
            (Kind.STARTED, {}),
            (Kind.WAITING, {"usage": CALLED}),
            (Kind.SIGNALLED, {}),
            (Kind.STARTED, {}),
            (Kind.DEAD_LETTERED, {"usage": USED}),
        )
    )
    assert (hour.total.tasks, hour.total.dead_lettered, hour.total.attempts) == (1, 1, 4)
    assert (hour.total.billed_ms, hour.total.compute_nanos, hour.total.model_nanos) == (48, 720, 642_000)
    assert hour.memory["standard"][1024].attempts == 4


def test_what_ended_without_an_attempt_cost_no_more_than_being_recorded() -> None:
    hour = summed(log("a", (Kind.CANCELLED, {})), log("b", (Kind.EXPIRED, {})))
    assert (hour.total.tasks, hour.total.cancelled, hour.total.expired, hour.total.attempts) == (2, 1, 1, 0)
    assert hour.total.nanos == hour.total.requests_nanos == 2 * (2 * 625 + 650)


def test_an_answer_that_is_anothers_is_no_attempt() -> None:
    cached = {"duration_ms": 0, "billed_ms": 0, "cached": True}
    hour = summed(log("a", (Kind.SUCCEEDED, {"usage": cached})), succeeded("b"))
    assert (hour.total.tasks, hour.total.succeeded, hour.total.cached, hour.total.attempts) == (2, 2, 1, 1)


def test_a_log_that_was_archived_often_is_counted_once() -> None:
    one, other = succeeded("a"), succeeded("b")
    assert summed(one, other, one, other, one) == summed(one, other)


def test_a_redriven_task_is_counted_in_the_hours_of_both_its_ends_each_with_its_own() -> None:
    later = START_MS + 2 * HOUR_MS
    first = log("a", (Kind.STARTED, {}), (Kind.DEAD_LETTERED, {"usage": USED}))
    whole = log(
        "a",
        (Kind.STARTED, {}),
        (Kind.DEAD_LETTERED, {"usage": USED}),
        (Kind.REDRIVEN, {"at_ms": later}),
        (Kind.STARTED, {"at_ms": later}),
        (Kind.SUCCEEDED, {"usage": CALLED, "at_ms": later}),
    )
    assert summed(first) == summed(first, whole) == summed(whole)
    second = summed(first, whole, begins_ms=hour_of(later))
    assert (second.total.tasks, second.total.succeeded, second.total.model_nanos) == (1, 1, 321_000)
    assert summed(whole).total.model_nanos + second.total.model_nanos == round(fold(whole).usage["cost_usd"] * 1e9)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**9), st.integers(0, 10**6), st.sampled_from(["a", "b", "c"]), st.sampled_from(["t", "u"])
        ),
        max_size=20,
    )
)
def test_the_groups_and_the_whole_agree_to_the_last_nanodollar(tasks: list[tuple[int, int, str, str]]) -> None:
    logs = []
    for number, (compute, micros, agent, tenant) in enumerate(tasks):
        named = {"nova": {"calls": 1, "cost_usd": micros / 1e6}}
        usage = {"compute_usd": compute / 1e9, "cost_usd": micros / 1e6, "model_calls": 1, "models": named}
        logs.append(succeeded(str(number), usage, agent=agent, tenant=tenant))
    hour = summed(*logs)
    assert hour.total.compute_nanos == sum(compute for compute, *_ in tasks)
    assert hour.total.model_nanos == sum(micros * 1000 for _, micros, *_ in tasks)
    for group in ("agent", "tenant", "lane"):
        assert sum(sums.nanos for sums in hour.groups[group].values()) == hour.total.nanos
    assert sum(sums.nanos for sums in hour.groups["model"].values()) == hour.total.model_nanos
    assert hour.costs.nanos == hour.total.nanos
    assert UsageHour.from_json(hour.to_json()) == hour


def test_what_an_older_or_a_later_version_wrote_of_usage_is_no_fault() -> None:
    odd = {"duration_ms": 3, "billed_ms": None, "compute_usd": "much", "models": {"nova": 1}, "gpu_ms": 7}
    hour = summed(succeeded("a", odd), succeeded("b", {}))
    assert (hour.total.tasks, hour.total.duration_ms, hour.total.compute_nanos) == (2, 3, 0)
