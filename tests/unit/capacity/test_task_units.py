"""What a task takes, reckoned by hand, and beside what `benchmarks/cost` counted of the functions themselves."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from capacity import prices, task_units
from capacity.task_units import Way, dollars_per_million, entries, lines, projector_batches, write_units
from flotilla.dynamo.event_log import to_item
from flotilla.dynamo.view_items import SHARDS
from tests.unit.docs.markdown import REPOSITORY
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run

RESULTS = REPOSITORY / "benchmarks" / "cost" / "results.md"

# 1,000 tasks: how they came, how long one was under way, and how long all of them took, which the page does not say
# and its entries (1 + span / 2 s) and its batches (each 2 s) do.
COUNTED = {
    "A task submitted singly": Way(submit_batch=1, span_seconds=0.075, records_per_second=187.5, pause_reads=0.13),
    "A task submitted in batches": Way(submit_batch=100, span_seconds=0.60, records_per_second=250, pause_reads=0.09),
}


def per_task(way: Way) -> dict[str, float]:
    return {line.what: line.per_task for line in lines(way)}


def counted(section: str) -> tuple[dict[str, float], float]:
    [text] = [part for part in RESULTS.read_text(encoding="utf-8").split("\n## ") if part.startswith(f"{section}\n")]
    [total] = re.findall(r"^\| \*\*total\*\*.*?\*\*([\d.]+)\*\*", text, re.MULTILINE)
    rows = re.findall(r"^\| ([A-Z][^|]+?) +\| ([\d.]+) +\|(?: [\d.]+ +\|)+$", text, re.MULTILINE)
    return {what: float(units) for what, units in rows}, float(total)


@pytest.mark.parametrize("section", COUNTED)
def test_the_model_agrees_with_the_calls_that_were_counted(section: str) -> None:
    rows, total = counted(section)
    reckoned = per_task(COUNTED[section])
    calls = [what for what in rows if "GB-s" not in what and "bytes" not in what]
    assert {what: reckoned[what] for what in calls} == {
        what: pytest.approx(rows[what], rel=0.02, abs=0.002) for what in calls
    }
    assert dollars_per_million(COUNTED[section]) == pytest.approx(total, rel=0.05)


def test_a_happy_task_is_three_writes_and_a_tenth_of_a_batch() -> None:
    found = per_task(Way())
    assert found["DynamoDB: write units of events"] == 3
    assert found["SQS: SendMessage"] == 1
    assert found["SQS: ReceiveMessage"] == found["Lambda: invocations of worker"] == pytest.approx(0.1)


def test_batches_of_the_api_share_its_request_and_send_ten_messages_a_call() -> None:
    found = per_task(Way(submit_batch=100))
    assert found["HTTP API: requests"] == pytest.approx(0.01)
    assert found["SQS: SendMessageBatch"] == pytest.approx(0.1)


def test_what_a_workflow_asks_for_comes_without_the_api_and_with_a_transition() -> None:
    found = per_task(Way(submit_batch=0, transitions=1))
    assert not [what for what in found if "API" in what or " api" in what or "authorizer" in what]
    assert found["Step Functions: state transitions"] == 1


def test_payloads_are_paid_for_by_the_begun_kilobyte() -> None:
    # 600 + 2,000 bytes are three units, 450 + 2,000 three as well, and `started` is one.
    assert write_units(Way(payload_bytes=2_000)) == 7


def test_an_entry_is_written_twice_where_the_end_is_in_a_later_batch_than_the_beginning() -> None:
    assert entries(Way(span_seconds=0)) == 1
    assert entries(Way(span_seconds=0.5, records_per_second=100)) == pytest.approx(1.25)  # of windows of two seconds
    assert entries(Way(span_seconds=30)) == 2


def test_records_that_fill_a_batch_do_not_wait_for_its_window() -> None:
    # 1,000 a second on two lanes are 500 in one second each, which is a batch.
    assert task_units.window_seconds(Way(stream_lanes=2, records_per_second=1_000)) == pytest.approx(1)


def test_few_records_take_a_batch_each() -> None:
    # A task a minute: its three records are in one batch or two of them, and a minute has no other.
    assert projector_batches(Way(stream_lanes=1, records_per_second=3 / 60)) == pytest.approx(60 / 22, rel=1e-6)


def test_time_in_which_agents_work_is_paid_for_by_the_gigabyte() -> None:
    alone = dollars_per_million(Way(batch=1, seconds=30, memory_mb=256)) - dollars_per_million(
        Way(batch=1, memory_mb=256)
    )
    ten = dollars_per_million(Way(batch=10, seconds=30, memory_mb=256)) - dollars_per_million(
        Way(batch=10, memory_mb=256)
    )
    assert alone == pytest.approx(30 / 4 * 13.33)  # $100 a million: a quarter of a gigabyte for 30 s
    assert ten == pytest.approx(alone / 10)


def test_the_other_architecture_costs_its_own_price() -> None:
    arm, x86 = Way(batch=1, seconds=30), dataclasses.replace(Way(batch=1, seconds=30), architecture="x86_64")
    assert dollars_per_million(x86) - dollars_per_million(arm) == pytest.approx((16.67 - 13.33) * 30.04, rel=0.01)


def test_events_are_as_large_as_they_are_taken_to_be() -> None:
    fleet = Fleet([sample_agents.echo])
    task = run(fleet.submit("sample.echo", {"value": "x" * 100})).state.task_id
    run(fleet.deliver(fleet.delivery(task)))
    sizes = {}
    for event in run(fleet.log.read(task)):
        item = to_item(event, 0)
        values = [next(iter(value.values())) for value in item.values()]
        sizes[event.kind.value] = sum(map(len, item)) + sum(
            len(value if isinstance(value, bytes) else str(value).encode()) for value in values
        )
    assert sizes["started"] <= task_units.WRITE_UNIT_BYTES
    for kind, taken in task_units.EVENT_BYTES.items():
        assert sizes[kind] == pytest.approx(taken + 100, abs=200), kind


def test_what_is_fixed_elsewhere_is_the_same_there() -> None:
    from capacity import keys
    from flotilla.primitives.retention import MARGIN_DAYS
    from stacks.background import PROJECTOR
    from stacks.capacity_shape import RETENTION_MARGIN_DAYS

    assert keys.VIEW_SHARDS == SHARDS
    assert (PROJECTOR.window_seconds, PROJECTOR.batch_size, PROJECTOR.parallelization) == (
        task_units.WINDOW_SECONDS,
        task_units.STREAM_BATCH,
        task_units.STREAM_BATCHES_AT_ONCE,
    )
    assert RETENTION_MARGIN_DAYS == MARGIN_DAYS


def test_prices_stand_in_one_place() -> None:
    assert prices.WRITE_UNITS == 0.625
    for path in (REPOSITORY / "benchmarks").rglob("prices.py"):
        raise AssertionError(Path(path))
