"""The local event sources do what Lambda's pollers do, on a running engine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.event_sources_process import event_sources_record, start_event_sources
from local.processes import Process
from local.progress import Step
from tests.e2e.engine import Engine
from tests.e2e.probe import Probe, arn_of


@pytest.fixture
def probe(engine: Engine, tmp_path: Path) -> Iterator[Probe]:
    probe = Probe.deploy(engine, tmp_path)
    yield probe
    probe.remove()


def kill_event_sources(engine: Engine) -> None:
    process = Process.load(event_sources_record(engine.instance))
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    while process.is_alive():
        pass


def restart_event_sources(engine: Engine) -> None:
    start_event_sources(engine.instance, engine.info.engine_url, Step("event sources"))


def test_groups_run_side_by_side_and_each_in_its_order(probe: Probe) -> None:
    probe.feed_from_queue(maximum=3, reserved=3, batch_size=2, visibility_seconds=30)
    messages = [(f"{group}-{number}", f"group-{group}") for number in range(5) for group in range(12)]
    probe.send_all(messages, work_seconds=0.03)
    probe.wait_for(lambda: len(probe.ids()) >= 60)
    probe.wait_until_empty()
    assert sorted(probe.ids("start")) == sorted(identifier for identifier, _ in messages)
    for group in range(12):
        done = [identifier for identifier in probe.ids() if identifier.startswith(f"{group}-")]
        assert done == [f"{group}-{number}" for number in range(5)]
    assert probe.most_at_once() == 3
    assert {line["attempt"] for line in probe.lines("start")} == {1}


def test_reserved_concurrency_is_respected_before_receiving(probe: Probe) -> None:
    probe.feed_from_queue(maximum=5, reserved=1, batch_size=1, visibility_seconds=30)
    probe.send_all(((str(number), f"group-{number}") for number in range(12)), work_seconds=0.02)
    probe.wait_for(lambda: len(probe.ids()) >= 12)
    assert probe.most_at_once() == 1
    assert {line["attempt"] for line in probe.lines("start")} == {1}


def test_a_standard_queue_is_served_too(probe: Probe) -> None:
    probe.feed_from_queue(fifo=False)
    for number in range(20):
        probe.send(str(number), group=None)
    probe.wait_for(lambda: len(probe.ids()) >= 20)
    probe.wait_until_empty()
    assert sorted(probe.ids(), key=int) == [str(number) for number in range(20)]


def test_only_the_reported_messages_come_back(probe: Probe) -> None:
    probe.feed_from_queue(visibility_seconds=1)
    probe.send("bad", group="bad", failures=2)
    for number in range(5):
        probe.send(f"good-{number}", group=f"good-{number}")
    probe.wait_for(lambda: "bad" in probe.ids())
    probe.wait_until_empty()
    assert [line["attempt"] for line in probe.lines("start") if line["id"] == "bad"] == [1, 2, 3]
    assert sorted(probe.ids()) == ["bad", *(f"good-{number}" for number in range(5))]


def test_a_failure_holds_back_its_own_group_only(probe: Probe) -> None:
    probe.feed_from_queue(visibility_seconds=2, batch_size=1)
    probe.send("first", group="a", failures=1)
    probe.wait_for(lambda: "first" in probe.ids("failed"))
    probe.send("second", group="a")
    probe.send("other", group="b")
    probe.wait_for(lambda: len(probe.ids()) == 3)
    assert probe.ids() == ["other", "first", "second"]


@pytest.mark.parametrize("fault", ["raises", "deaths"])
def test_a_function_that_fails_gets_its_whole_batch_again(probe: Probe, fault: str) -> None:
    probe.feed_from_queue(visibility_seconds=2, maximum=2)
    probe.send("bad", group="bad", **{fault: 1})
    probe.send("good", group="good")
    probe.wait_for(lambda: {"bad", "good"} <= set(probe.ids()))
    probe.wait_until_empty()
    assert [line["attempt"] for line in probe.lines("start") if line["id"] == "bad"] == [1, 2]


def test_a_raised_maximum_is_picked_up(probe: Probe, engine: Engine) -> None:
    probe.feed_from_queue(maximum=2, batch_size=1, visibility_seconds=60)
    probe.send_all(((str(number), f"group-{number}") for number in range(400)), work_seconds=0.1)
    probe.wait_for(lambda: len(probe.ids()) >= 6)
    before = probe.most_at_once()
    engine.client("lambda").update_event_source_mapping(UUID=probe.mapping, ScalingConfig={"MaximumConcurrency": 4})
    probe.wait_for(lambda: probe.most_at_once() > 2)
    assert (before, probe.most_at_once() <= 4) == (2, True)


def test_a_disabled_mapping_is_paused_until_it_is_enabled(probe: Probe, engine: Engine) -> None:
    functions, queues = engine.client("lambda"), engine.client("sqs")
    probe.feed_from_queue()
    probe.send("before")
    probe.wait_for(lambda: probe.ids() == ["before"])
    functions.update_event_source_mapping(UUID=probe.mapping, Enabled=False)

    # A receive that was under way when the pause was seen may still take one message; so wait for one that stays.
    sent = 0

    def a_message_stays() -> bool:
        nonlocal sent
        sent += 1
        probe.send(f"paused-{sent}", group=f"paused-{sent}")
        empty = queues.create_queue(QueueName=f"{probe.name}-clock")["QueueUrl"]
        queues.receive_message(QueueUrl=empty, WaitTimeSeconds=1)
        return f"paused-{sent}" not in probe.ids("start")

    probe.wait_for(a_message_stays)
    functions.update_event_source_mapping(UUID=probe.mapping, Enabled=True)
    probe.wait_for(lambda: f"paused-{sent}" in probe.ids())


def test_nothing_is_lost_when_the_event_sources_are_killed(probe: Probe, engine: Engine) -> None:
    probe.feed_from_queue(visibility_seconds=3, maximum=2, batch_size=3)
    messages = [(str(number), f"group-{number % 7}") for number in range(42)]
    probe.send_all(messages, work_seconds=0.05)
    probe.wait_for(lambda: len(probe.ids()) >= 5)
    kill_event_sources(engine)
    restart_event_sources(engine)
    probe.wait_for(lambda: len(set(probe.ids())) == 42)
    probe.wait_until_empty()
    for group in range(7):
        first_ends = list(dict.fromkeys(identifier for identifier in probe.ids() if int(identifier) % 7 == group))
        assert first_ends == sorted(first_ends, key=int)


def test_a_stream_is_delivered_in_order(probe: Probe) -> None:
    probe.feed_from_table(BatchSize=7)
    for number in range(30):
        probe.put(str(number))
    probe.wait_for(lambda: len(probe.ids()) >= 30)
    assert probe.ids() == [str(number) for number in range(30)]
    assert max(line["batch"] for line in probe.lines("start")) <= 7


def test_a_partly_failed_stream_batch_resumes_at_the_failed_record(probe: Probe) -> None:
    probe.feed_from_table(BatchSize=10)
    for number in range(10):
        probe.put(str(number), failures=1 if number == 4 else 0)
    probe.wait_for(lambda: len(probe.ids()) >= 10)
    assert probe.ids() == [str(number) for number in range(10)]
    assert [probe.ids("start").count(str(number)) for number in range(10)] == [1, 1, 1, 1, 2, 1, 1, 1, 1, 1]


def test_a_poison_record_is_bisected_out_retried_and_handed_to_the_on_failure_queue(
    probe: Probe, engine: Engine
) -> None:
    queues = engine.client("sqs")
    on_failure = queues.create_queue(QueueName=f"{probe.name}-given-up")["QueueUrl"]
    probe.feed_from_table(
        BatchSize=8,
        MaximumRetryAttempts=1,
        BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": arn_of(queues, on_failure)}},
    )
    for number in range(8):
        probe.put(str(number), raises=100 if number == 5 else 0)
    answer = queues.receive_message(QueueUrl=on_failure, WaitTimeSeconds=20)
    probe.wait_for(lambda: "7" in probe.ids())
    done = list(dict.fromkeys(probe.ids()))
    assert done == ["0", "1", "2", "3", "4", "6", "7"]
    note = json.loads(answer["Messages"][0]["Body"])
    assert note["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert note["requestContext"]["approximateInvokeCount"] == 2
    assert note["responseContext"]["functionError"] == "Unhandled"
    assert note["DDBStreamBatchInfo"]["batchSize"] == 1


def test_a_record_that_fails_until_it_is_too_old_is_given_up(probe: Probe, engine: Engine) -> None:
    queues = engine.client("sqs")
    on_failure = queues.create_queue(QueueName=f"{probe.name}-too-old")["QueueUrl"]
    probe.feed_from_table(
        BatchSize=1,
        MaximumRecordAgeInSeconds=6,
        DestinationConfig={"OnFailure": {"Destination": arn_of(queues, on_failure)}},
    )
    probe.put("poison", raises=100)
    answer = queues.receive_message(QueueUrl=on_failure, WaitTimeSeconds=20)
    probe.put("next")
    probe.wait_for(lambda: probe.ids() == ["next"])
    assert json.loads(answer["Messages"][0]["Body"])["requestContext"]["condition"] == "RecordAgeExceeded"
    assert probe.ids("start").count("poison") > 1


def test_a_stream_goes_on_from_its_checkpoint_after_a_kill(probe: Probe, engine: Engine) -> None:
    probe.feed_from_table(BatchSize=5)
    for number in range(10):
        probe.put(str(number))
    probe.wait_for(lambda: len(probe.ids()) >= 10)
    checkpoint = engine.instance.checkpoints / f"{probe.mapping}.json"
    probe.wait_for(lambda: bool(json.loads(checkpoint.read_text())["shards"]))
    kill_event_sources(engine)
    for number in range(10, 20):
        probe.put(str(number))
    restart_event_sources(engine)
    probe.wait_for(lambda: len(set(probe.ids())) >= 20)
    assert list(dict.fromkeys(probe.ids())) == [str(number) for number in range(20)]
    assert probe.ids("start").count("0") == 1


def test_a_mapping_at_latest_gets_no_older_records(probe: Probe, engine: Engine) -> None:
    probe.feed_from_table(BatchSize=5)
    probe.put("older")
    probe.wait_for(lambda: probe.ids() == ["older"])
    functions = engine.client("lambda")
    listed = functions.get_event_source_mapping(UUID=probe.mapping)
    functions.delete_event_source_mapping(UUID=probe.mapping)
    # Stream times have whole seconds: what was written in the second of the mapping's creation counts as later.
    empty = engine.client("sqs").create_queue(QueueName=f"{probe.name}-clock")["QueueUrl"]
    engine.client("sqs").receive_message(QueueUrl=empty, WaitTimeSeconds=2)
    probe.mapping = functions.create_event_source_mapping(
        FunctionName=probe.name,
        EventSourceArn=listed["EventSourceArn"],
        StartingPosition="LATEST",
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )["UUID"]
    probe.put("newer")
    probe.wait_for(lambda: "newer" in probe.ids())
    assert probe.ids() == ["older", "newer"]
