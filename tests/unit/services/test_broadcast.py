"""Transitions reach everybody who asks for them, at least once, and nobody who may not know."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from flotilla.broadcast import TERMINAL, Endpoint, EndpointState, Secret
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.events import Event, Kind, fold
from flotilla.models import Status
from flotilla.services.broadcast import Broadcaster
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.endpoint_directory import TTL_MS, EndpointDirectory
from flotilla.services.notices import MAX_OUTPUT_BYTES, MAX_PAYLOAD_BYTES, Notices, status_after
from tests.fakes import ManualClock, MemoryEventLog, MemoryPayloadStore
from tests.fakes.broadcast import MemoryEndpoints, MemoryPublisher, MemoryWebhookQueue
from tests.logs import ERROR, START_MS, LogBuilder, log_of
from tests.unit.services.fleet import run

HAPPY = (Kind.STARTED, Kind.SUCCEEDED)


class FailingLog(MemoryEventLog):
    """A log that cannot be read for some tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: set[str] = set()

    async def read(self, task_id: str) -> list[Event]:
        if task_id in self.unreadable:
            raise StoreUnavailableError("the event log did not answer")
        return await super().read(task_id)


class Stage:
    """A broadcaster and everything around it in memory."""

    def __init__(
        self,
        *,
        bus: MemoryPublisher | None = None,
        topic: MemoryPublisher | None = None,
        publishers: bool = True,
        transitions: Sequence[Status] = TERMINAL,
    ) -> None:
        self.clock = ManualClock()
        self.log = FailingLog()
        self.payloads = MemoryPayloadStore()
        self.endpoints = MemoryEndpoints()
        self.bus, self.topic = bus or MemoryPublisher(), topic or MemoryPublisher()
        self.queue = MemoryWebhookQueue()
        self.broadcaster = Broadcaster(
            log=self.log,
            notices=Notices(ClaimCheck(self.payloads, inline_bytes=0)),
            publishers=[self.bus, self.topic] if publishers else [],
            queue=self.queue,
            directory=EndpointDirectory(self.endpoints, self.clock),
            transitions=transitions,
            clock=self.clock,
            dice=random.Random(3),
        )

    def write(self, *logs: Sequence[Event]) -> None:
        for event in itertools.chain(*logs):
            run(self.log.append(event))

    def endpoint(self, number: int = 1, tenant: str = "acme", **members: Any) -> Endpoint:
        endpoint = Endpoint(
            id=f"whk_{number}",
            tenant=tenant,
            url=f"https://hooks.example/{number}",
            events=members.pop("events", TERMINAL),
            agents=members.pop("agents", None),
            secrets=(Secret("whsec_x"),),
            created_at_ms=number,
            **members,
        )
        run(self.endpoints.add(endpoint))
        run(self.endpoints.ask_for({*TERMINAL, *endpoint.events}))
        return endpoint

    def tell(self, *events: Event) -> int | None:
        again: int | None = run(self.broadcaster.run(events))
        return again

    def told(self) -> list[str]:
        assert [notice.id for notice in self.bus.published] == [notice.id for notice in self.topic.published]
        return [notice.id for notice in self.bus.published]

    def queued(self) -> list[tuple[str, int]]:
        return [(message.endpoint_id, message.seq) for message in self.queue.sent]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_by_default_only_how_tasks_end_is_told(stage: Stage) -> None:
    events = log_of(*HAPPY)
    stage.write(events)
    assert stage.tell(*events) is None
    assert stage.told() == ["tsk_sample-2"]
    assert stage.queue.sent == []


def test_what_nobody_asks_for_is_not_even_read(stage: Stage) -> None:
    events = log_of(Kind.STARTED, Kind.PARKED, Kind.STARTED)
    stage.write(events)
    assert stage.tell(*events[1:]) is None
    assert stage.log.reads == 0
    assert stage.endpoints.calls == ["asked_for"]


def test_a_deployment_that_tells_nobody_anything_reads_nothing(stage: Stage) -> None:
    stage = Stage(publishers=False)
    events = log_of(*HAPPY)
    stage.write(events)
    assert stage.tell(*events[2:]) is None
    assert stage.log.reads == 0


def test_a_log_that_lies_whole_in_the_batch_is_not_read(stage: Stage) -> None:
    events = log_of(*HAPPY)
    assert stage.tell(*events) is None
    assert stage.log.reads == 0
    assert stage.told() == ["tsk_sample-2"]


def test_a_log_that_does_not_is_read_once(stage: Stage) -> None:
    stage = Stage(transitions=list(Status))
    events = log_of(*HAPPY)
    stage.write(events)
    assert stage.tell(*events[1:]) is None
    assert stage.log.reads == 1
    assert stage.told() == ["tsk_sample-1", "tsk_sample-2"]


def test_disorder_and_duplicates_in_a_batch_do_no_harm(stage: Stage) -> None:
    events = log_of(*HAPPY)
    assert stage.tell(events[2], events[0], events[2], events[1]) is None
    assert stage.told() == ["tsk_sample-2"] * 2


def test_each_notice_tells_the_task_as_it_was_then(stage: Stage) -> None:
    stage = Stage(transitions=list(Status))
    events = log_of(Kind.STARTED, Kind.STEP_RECORDED, Kind.ATTEMPT_FAILED, Kind.STARTED, Kind.SUCCEEDED)
    stage.write(events)
    assert stage.tell(*events) is None
    told = [json.loads(notice.document) for notice in stage.bus.published]
    assert [(each["data"]["seq"], each["type"]) for each in told] == [
        (0, "task.queued"),
        (1, "task.running"),
        (3, "task.retrying"),
        (4, "task.running"),
        (5, "task.succeeded"),
    ]
    assert [each["data"]["attempt"] for each in told] == [0, 1, 1, 2, 2]
    assert told[2]["data"]["error"] == ERROR
    assert told[2]["data"]["due_at"] == "2023-11-14T22:13:40.000Z"
    assert [each["data"]["output"] for each in told] == [None] * 4 + [{"value": 2}]


def test_a_notice_says_what_the_api_says_of_the_task_but_not_its_input(stage: Stage) -> None:
    builder = LogBuilder("tsk_1")
    builder.add(Kind.ACCEPTED, labels={"team": "größe"}, session="s", input={"inline": "SECRET-INPUT"})
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.SUCCEEDED, attempt=1)
    stage.write(builder.events)
    stage.tell(builder.events[2])
    (notice,) = stage.bus.published
    assert notice.attributes == {
        "kind": "succeeded",
        "status": "succeeded",
        "agent": "sample.echo",
        "lane": "standard",
        "tenant": "acme",
    }
    assert "SECRET-INPUT" not in notice.document
    assert json.loads(notice.document) == {
        "id": "tsk_1-2",
        "type": "task.succeeded",
        "timestamp": "2023-11-14T22:13:20.200Z",
        "data": {
            "id": "tsk_1",
            "seq": 2,
            "kind": "succeeded",
            "tenant": "acme",
            "agent": "sample.echo",
            "agent_version": "1",
            "lane": "standard",
            "session": "s",
            "status": "succeeded",
            "attempt": 1,
            "max_attempts": 4,
            "created_at": "2023-11-14T22:13:20.000Z",
            "due_at": None,
            "started_at": "2023-11-14T22:13:20.100Z",
            "finished_at": "2023-11-14T22:13:20.200Z",
            "deadline": None,
            "waiting": None,
            "output": {"value": 2},
            "output_omitted": False,
            "error": None,
            "usage": {"duration_ms": 7},
            "labels": {"team": "größe"},
            "links": {"self": "/v1/tasks/tsk_1", "events": "/v1/tasks/tsk_1/events"},
        },
    }


def finished(output: dict[str, Any], task_id: str = "tsk_sample") -> list[Event]:
    builder = LogBuilder(task_id)
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.SUCCEEDED, attempt=1, output=output)
    return builder.events


def told_output(stage: Stage, output: dict[str, Any]) -> tuple[Any, bool]:
    assert stage.tell(*finished(output)) is None
    data = json.loads(stage.bus.published[-1].payload)["data"]
    return data["output"], data["output_omitted"]


def test_a_small_output_is_told_and_a_large_one_is_not(stage: Stage) -> None:
    assert told_output(stage, {"inline": "x" * 1000}) == ("x" * 1000, False)
    assert told_output(stage, {"inline": "x" * MAX_OUTPUT_BYTES}) == (None, True)
    ref = {"ref": "tenants/acme/tasks/t/1.json", "bytes": MAX_OUTPUT_BYTES + 1, "sha256": "0" * 64}
    assert told_output(stage, {**ref}) == (None, True)


def test_a_small_output_is_told_wherever_it_lies(stage: Stage) -> None:
    payload = run(ClaimCheck(stage.payloads, inline_bytes=10).check_in("acme", "tsk_sample", "y" * 1000))
    assert told_output(stage, payload.to_json()) == ("y" * 1000, False)
    stage.payloads.objects.clear()
    assert told_output(stage, payload.to_json()) == (None, True), "that it ended is told all the same"


def test_no_notice_is_larger_than_its_carriers_take(stage: Stage) -> None:
    stage.tell(*finished({"inline": "\x01" * (MAX_OUTPUT_BYTES // 6 - 1)}))
    stage.tell(*finished({"inline": "\U0001f680" * (MAX_OUTPUT_BYTES // 4 - 1)}, "tsk_2"))
    error = ERROR | {"message": "\ufffe" * 1000}
    builder = LogBuilder("tsk_3")
    builder.add(Kind.ACCEPTED, labels={f"{n:02}" + "ä" * 62: "\U0001f680" * 256 for n in range(16)}, session="ä" * 256)
    builder.add(Kind.DEAD_LETTERED, error=error)
    stage.tell(*builder.events)
    assert len(stage.told()) == 3
    assert all(len(notice.document) <= MAX_PAYLOAD_BYTES for notice in stage.bus.published)
    assert all(notice.document.isascii() for notice in stage.bus.published)


def test_the_status_of_an_event_is_the_one_the_fold_finds() -> None:
    events = log_of(*HAPPY)
    kinds = [kind for kind in Kind if kind not in (Kind.ACCEPTED, Kind.STEP_RECORDED)]
    for kind in kinds:
        log = log_of(kind)
        assert status_after(log[-1]) is fold(log).status
    delayed = LogBuilder()
    delayed.add(Kind.ACCEPTED, due_at_ms=START_MS + 60_000)
    for log in ([events[0]], delayed.events):
        assert status_after(log[0]) is fold(log).status
    assert status_after(log_of(Kind.STARTED, Kind.STEP_RECORDED)[-1]) is None


def test_endpoints_are_told_what_they_ask_for(stage: Stage) -> None:
    stage.endpoint(1)
    stage.endpoint(2, events=(Status.RUNNING,))
    stage.endpoint(3, agents=("sample.echo", "other"))
    stage.endpoint(4, agents=("other",))
    stage.endpoint(5, events=())
    events = log_of(*HAPPY)
    assert stage.tell(*events) is None
    assert sorted(stage.queued()) == [("whk_1", 2), ("whk_2", 1), ("whk_3", 2)]
    assert stage.told() == ["tsk_sample-2"], "that an endpoint asks for more publishes no more"


def test_a_task_that_names_an_endpoint_has_its_end_told_there(stage: Stage) -> None:
    stage.endpoint(1, events=(), agents=("other",))
    stage.endpoint(2, events=())
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, webhook="whk_1")
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.SUCCEEDED, attempt=1)
    assert stage.tell(*builder.events) is None
    assert stage.queued() == [("whk_1", 2)]


def test_an_endpoint_that_asks_for_it_and_is_named_is_told_once(stage: Stage) -> None:
    stage.endpoint(1)
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, webhook="whk_1")
    builder.add(Kind.CANCELLED)
    assert stage.tell(*builder.events) is None
    assert stage.queued() == [("whk_1", 1)]


def test_a_tenants_endpoints_are_told_nothing_of_others(stage: Stage) -> None:
    stage.endpoint(1, tenant="evil")
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, webhook="whk_1")
    builder.add(Kind.CANCELLED)
    assert stage.tell(*builder.events) is None
    assert stage.queue.sent == []


def test_a_disabled_endpoint_is_told_nothing(stage: Stage) -> None:
    stage.endpoint(1, state=EndpointState.DISABLED)
    assert stage.tell(*log_of(*HAPPY)) is None
    assert stage.queue.sent == []


def test_a_webhooks_payload_is_the_notice_without_its_id(stage: Stage) -> None:
    stage.endpoint(1)
    stage.tell(*log_of(*HAPPY))
    (message,) = stage.queue.sent
    assert json.loads(message.payload).keys() == {"type", "timestamp", "data"}
    assert message.payload == stage.bus.published[0].payload
    assert message.id.startswith("msg_")
    assert message.queued_at_ms == stage.clock.now_ms()


def test_tenants_are_looked_up_once_in_half_a_minute(stage: Stage) -> None:
    stage.endpoint(1, tenant="somebody")
    logs = [log_of(*HAPPY, task_id=f"tsk_{number}") for number in range(50)]
    for log in logs:
        stage.tell(*log)
    assert stage.endpoints.calls.count("of") == 1
    stage.clock.advance(TTL_MS / 1000)
    stage.tell(*logs[0])
    assert stage.endpoints.calls.count("of") == 2


def test_notices_go_out_in_the_streams_order(stage: Stage) -> None:
    stage = Stage(transitions=list(Status))
    logs = [log_of(*HAPPY, task_id=f"tsk_{number}") for number in range(15)]
    mixed = [log[seq] for seq in range(3) for log in logs]
    assert stage.tell(*mixed) is None
    assert stage.told() == [f"{event.task_id}-{event.seq}" for event in mixed]


def test_what_did_not_get_through_is_sent_again_and_nothing_else(stage: Stage) -> None:
    stage = Stage(topic=MemoryPublisher([1]))
    logs = [log_of(*HAPPY, task_id=f"tsk_{number}") for number in range(3)]
    assert stage.tell(*itertools.chain(*logs)) is None
    assert stage.topic.calls == [["tsk_0-2", "tsk_1-2", "tsk_2-2"], ["tsk_1-2"]]
    assert len(stage.bus.calls) == 1


def test_what_does_not_get_through_in_the_end_is_reported_by_its_place(stage: Stage) -> None:
    stage = Stage(topic=MemoryPublisher([1, 2], [0], [0]))
    logs = [log_of(*HAPPY, task_id=f"tsk_{number}") for number in range(3)]
    events = list(itertools.chain(*logs))
    again = stage.tell(*events)
    assert again is not None
    assert events[again].task_id == "tsk_1"
    assert [notice.id for notice in stage.topic.published] == ["tsk_0-2", "tsk_2-2"]


def test_a_bus_that_is_down_is_left_to_the_streams_patience(stage: Stage) -> None:
    stage = Stage(bus=MemoryPublisher(range(10), range(10)))
    events = log_of(*HAPPY)
    stage.write(events)
    assert stage.tell(*events) == 2
    assert len(stage.bus.calls) == 1
    assert [notice.id for notice in stage.topic.published] == ["tsk_sample-2"]
    assert stage.tell(*events[2:]) == 0
    assert stage.tell(*events) is None
    assert [notice.id for notice in stage.topic.published] == ["tsk_sample-2"] * 3, "duplicates, with the same id"


def test_a_queue_that_is_down_brings_its_transition_again(stage: Stage) -> None:
    stage.endpoint(1)
    stage.queue.down = True
    assert stage.tell(*log_of(*HAPPY)) == 2
    stage.queue.down = False
    assert stage.tell(*log_of(*HAPPY)) is None
    assert stage.queued() == [("whk_1", 2)]


def test_a_message_told_twice_has_the_same_id(stage: Stage) -> None:
    stage.endpoint(1)
    stage.tell(*log_of(*HAPPY))
    stage.tell(*log_of(*HAPPY))
    first, second = stage.queue.sent
    assert first.id == second.id


def test_after_a_task_that_cannot_be_read_nothing_is_told(stage: Stage) -> None:
    """It comes again with all after it; what is told now would be told twice for nothing."""
    logs = [log_of(*HAPPY, task_id=f"tsk_{number}") for number in range(3)]
    stage.write(*logs)
    stage.log.unreadable = {"tsk_1"}
    assert stage.tell(*(log[2] for log in logs)) == 1
    assert stage.told() == ["tsk_0-2"]
    stage.log.unreadable = set()
    assert stage.tell(logs[1][2], logs[2][2]) is None
    assert stage.told() == ["tsk_0-2", "tsk_1-2", "tsk_2-2"]


def test_endpoints_that_cannot_be_read_are_not_passed_over(stage: Stage) -> None:
    stage.endpoint(1)
    stage.endpoints.down = True
    assert stage.tell(*log_of(*HAPPY)) == 0
    assert stage.told() == []
    stage.endpoints.down = False
    assert stage.tell(*log_of(*HAPPY)) is None
    assert stage.queued() == [("whk_1", 2)]


def test_a_payload_store_that_is_down_brings_its_transition_again(stage: Stage) -> None:
    class Down(MemoryPayloadStore):
        async def get(self, key: str) -> bytes:
            raise StoreUnavailableError("the payload store did not answer")

    async def make() -> None:
        ref = {"ref": "k", "bytes": 100, "sha256": "0" * 64}
        with pytest.raises(RetryableError):
            await Notices(ClaimCheck(Down(), 0)).make(finished(ref), 2)

    run(make())


def test_a_corrupt_log_is_told_to_nobody_and_holds_nobody_up(stage: Stage) -> None:
    corrupt = [*log_of(*HAPPY)[:2], log_of(Kind.PARKED, Kind.SUCCEEDED)[2]]
    good = log_of(*HAPPY, task_id="tsk_good")
    assert stage.tell(*corrupt, *good) is None
    assert stage.told() == ["tsk_good-2"]


def test_a_log_that_retention_has_dropped_is_passed_over(stage: Stage) -> None:
    events = log_of(*HAPPY)
    assert stage.tell(events[2]) is None
    stage.write(events[2:])
    assert stage.tell(events[2]) is None
    assert stage.told() == []


def test_an_empty_batch_is_done_and_teaches_nothing(stage: Stage) -> None:
    """It only gets a process ready: an endpoint that is registered next must not wait for what was learnt now."""
    assert stage.tell() is None
    assert stage.endpoints.calls == []
