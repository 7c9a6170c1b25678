"""`POST /v1/task-batches`: each item answered as by itself, whatever is wrong with the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.broadcast import Endpoint
from flotilla.errors import StoreUnavailableError
from flotilla.events import Event
from flotilla.models import TaskMessage
from flotilla.primitives.ladder import Ladder
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.hold_back import HoldBack
from flotilla.services.submit import SubmitService, task_id_for
from functions.api.application import Application
from functions.api.batches import MAX_TASKS, BatchRoutes
from functions.api.gateway import Request
from functions.api.routing import Route, Router
from functions.api.submissions import Lanes, Submissions
from functions.api.task_view import TaskViews
from functions.api.validation import InputValidators
from tests.agent_specs import agent_spec
from tests.fakes import ManualClock, MemoryEventLog, MemoryLanes, MemoryPayloadStore
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.delays import MemoryDelays
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings
from tests.fakes.schedules import MemorySchedules
from tests.gateway_events import Answer, http_event, identity
from tests.unit.api.api import submit_limits

INLINE_BYTES = 32_768
NUMBER = {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}


def specs() -> dict[str, AgentSpec]:
    sleep = agent_spec("sleep", version="7", lane="batch", input_schema=NUMBER)
    return {"echo": agent_spec("echo", version="7"), "sleep": sleep}


class OneEndpoint:
    """The webhook endpoints of a tenant that has one."""

    async def named(self, tenant: str, name: str) -> Endpoint | None:
        return Endpoint(name, tenant, "https://hooks.example/", (), None, (), 1) if name == "whk_1" else None


class Log(MemoryEventLog):
    """An event log that does not answer about some tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.silent: set[int] = set()

    async def append(self, event: Event) -> Event | None:
        if event.body.get("input", {}).get("inline") in self.silent:
            raise StoreUnavailableError("the event log did not answer")
        return await super().append(event)


class Queues(MemoryLanes):
    """Lanes that take some messages and not others."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[int] = set()

    async def send_batch(self, messages: Any) -> list[bool]:
        taken = [message.input.inline not in self.refused for message in messages]
        for message, durable in zip(messages, taken, strict=True):
            if durable:
                await self.send(message)
        return taken


@dataclass
class BatchApi:
    """The route, over ports in memory."""

    clock: ManualClock = field(default_factory=ManualClock)
    log: Log = field(default_factory=Log)
    lanes: Queues = field(default_factory=Queues)
    delays: MemoryDelays = field(default_factory=MemoryDelays)

    def __post_init__(self) -> None:
        self.application = Application(self._router, self.clock)

    def _router(self) -> Router:
        claim_check = ClaimCheck(MemoryPayloadStore(), INLINE_BYTES)
        dispatch = Dispatch(
            lanes=self.lanes,
            delays=self.delays,
            schedules=MemorySchedules(),
            ladder=Ladder((1, 15, 120, 480, 900)),
            clock=self.clock,
        )
        submissions = Submissions(
            catalog=Catalog(specs()),
            lanes=Lanes(("standard", "batch"), "standard"),
            validators=InputValidators(),
            endpoints=OneEndpoint,
            dependencies=lambda: HoldBack(MemoryCircuits(), self.clock),
            clock=self.clock,
        )
        batches = BatchRoutes(
            submissions=submissions,
            limits=submit_limits(MemoryLimitSettings(), MemoryBuckets(), {}, self.clock),
            submit=SubmitService(log=self.log, dispatch=dispatch, claim_check=claim_check, clock=self.clock),
            views=TaskViews(claim_check, lambda key: f"https://link.example/{len(key)}"),
        )
        return Router([Route("POST", "/v1/task-batches", "tasks:write", batches.submit)])

    def post(self, body: Any, *, key: str | None = None, **options: Any) -> Answer:
        options.setdefault("authorizer", identity())
        headers = {} if key is None else {"idempotency-key": key}
        event = http_event("POST", "/v1/task-batches", body, headers=headers, **options)
        request = Request.from_event(event, ends_ms=self.clock.now_ms() + 28_000)
        return Answer.of(asyncio.run(self.application.answer(request)).to_gateway())

    def results(self, *tasks: Any, key: str | None = None) -> list[dict[str, Any]]:
        answer = self.post({"tasks": list(tasks)}, key=key)
        assert answer.status == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["results"]
        assert len(found) == len(tasks)
        return found

    def messages(self) -> list[TaskMessage]:
        return list(self.lanes.sent.values())


def echo(value: Any = 1, **members: Any) -> dict[str, Any]:
    return {"agent": "echo", "input": value, **members}


@pytest.fixture
def api() -> BatchApi:
    return BatchApi()


def test_all_items_are_accepted_in_order(api: BatchApi) -> None:
    results = api.results(*(echo(number) for number in range(MAX_TASKS)))
    assert [result["status"] for result in results] == [202] * MAX_TASKS
    assert [result["task"]["input"] for result in results] == list(range(MAX_TASKS))
    assert {result["task"]["status"] for result in results} == {"queued"}
    assert not any(result["replayed"] for result in results)
    ids = [result["task"]["id"] for result in results]
    assert len(set(ids)) == MAX_TASKS
    assert {message.task_id for message in api.messages()} == set(ids)


def test_what_a_task_may_have_an_item_may_have(api: BatchApi) -> None:
    (result,) = api.results(
        echo(session="s", lane="batch", labels={"a": "b"}, max_attempts=2, delay_seconds=60, webhook="whk_1")
    )
    task = result["task"]
    assert (task["session"], task["lane"], task["labels"], task["status"]) == ("s", "batch", {"a": "b"}, "scheduled")


def test_one_bad_item_fails_alone_and_says_why_as_by_itself(api: BatchApi) -> None:
    results = api.results(
        echo(),
        {"agent": "nobody", "input": 1},
        {"agent": "sleep", "input": {"seconds": "long"}},
        "no object",
        echo(lane="nowhere"),
        echo(webhook="whk_2"),
        echo(deadline="1999-01-01T00:00:00Z"),
        echo(),
    )
    assert [result["status"] for result in results] == [202, 404, 422, 422, 422, 422, 422, 202]
    problem = results[2]["problem"]
    assert problem["type"] == "/problems/invalid-input"
    assert [error["path"] for error in problem["errors"]] == ["/input/seconds"]
    whole = {"type", "title", "status", "detail", "instance", "request_id", "retryable"}
    assert all(result["problem"].keys() - {"errors"} == whole for result in results if "problem" in result)
    assert all(("task" in result) != ("problem" in result) for result in results)
    assert len(api.messages()) == 2


def test_a_batch_of_nothing_but_bad_items_is_still_answered(api: BatchApi) -> None:
    assert [result["status"] for result in api.results({}, {})] == [422, 422]
    assert api.messages() == []


def test_a_repeated_batch_makes_no_task_twice(api: BatchApi) -> None:
    tasks = [echo(number) for number in range(5)]
    first = api.results(*tasks, key="k")
    again = api.results(*tasks, key="k")
    assert [result["task"]["id"] for result in again] == [result["task"]["id"] for result in first]
    assert [result["replayed"] for result in again] == [True] * 5
    assert len(api.messages()) == 5


def test_a_repeat_with_another_item_tells_of_that_item_alone(api: BatchApi) -> None:
    api.results(echo(1), echo(2), key="k")
    results = api.results(echo(1), echo(3), echo(4), key="k")
    assert [result["status"] for result in results] == [202, 422, 202]
    assert results[1]["problem"]["type"] == "/problems/idempotency-key-reused"
    assert [result.get("replayed") for result in results] == [True, None, False]


def test_an_items_key_is_the_batchs_and_its_index(api: BatchApi) -> None:
    """So an item can be repeated by itself, as a task of its own."""
    results = api.results(echo("a"), echo("b"), key="k")
    assert [result["task"]["id"] for result in results] == [task_id_for("acme", "k/0"), task_id_for("acme", "k/1")]


def test_without_a_key_every_batch_is_new(api: BatchApi) -> None:
    first, again = api.results(echo()), api.results(echo())
    assert first[0]["task"]["id"] != again[0]["task"]["id"]


def test_a_store_that_does_not_answer_about_one_task_costs_the_others_nothing(api: BatchApi) -> None:
    api.log.silent = {1}
    api.lanes.refused = {3}
    tasks = [echo(number) for number in range(5)]
    results = api.results(*tasks, key="k")
    assert [result["status"] for result in results] == [202, 503, 202, 503, 202]
    assert results[1]["problem"]["retryable"] is True
    api.log.silent = set()
    api.lanes.refused = set()
    again = api.results(*tasks, key="k")
    assert [result["status"] for result in again] == [202] * 5
    assert len(api.messages()) == 5


def test_items_of_a_session_are_sent_in_their_order(api: BatchApi) -> None:
    results = api.results(*(echo(number, session=f"s{number % 2}") for number in range(20)))
    for session in ("s0", "s1"):
        sent = [message.task_id for message in api.messages() if message.session == session]
        assert sent == [result["task"]["id"] for result in results if result["task"]["session"] == session]


def test_what_is_not_small_is_left_out_of_the_answer_and_named(api: BatchApi) -> None:
    results = api.results(echo("x" * 5000), echo("x" * (INLINE_BYTES + 1)), echo("small"))
    assert [result["task"]["input"] for result in results] == [None, None, "small"]
    assert [result["task"].get("omitted") for result in results] == [["input"], ["input"], None]


def test_the_largest_batch_fits_one_answer(api: BatchApi) -> None:
    labels = {f"{number:02d}" + "n" * 20: '"' * 180 for number in range(16)}
    body = {"tasks": [echo('"' * 1900, labels=labels) for _ in range(MAX_TASKS)]}
    answer = api.post(body)
    assert {result["status"] for result in answer.json()["results"]} == {202}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/tasks"),
        ({"tasks": []}, "/tasks"),
        ({"tasks": [echo()] * (MAX_TASKS + 1)}, "/tasks"),
        ({"tasks": {"0": echo()}}, "/tasks"),
        ({"tasks": [echo()], "lane": "batch"}, "/lane"),
        ([echo()], ""),
    ],
    ids=["none", "empty", "too many", "no list", "another member", "bare list"],
)
def test_a_body_that_is_no_batch_is_refused_whole(api: BatchApi, body: Any, path: str) -> None:
    problem = api.post(body).problem(422, "invalid-input")
    assert [error["path"] for error in problem["errors"]] == [path]
    assert api.log.logs == {}


def test_a_body_that_is_too_large_or_no_json_is_refused_whole(api: BatchApi) -> None:
    api.post({"tasks": [echo("x" * 30_000)] * 40}).problem(413, "too-large")
    api.post("{").problem(400, "malformed-json")
    api.post({"tasks": [echo()]}, key="with blanks").problem(400, "invalid-header")


def test_submitting_needs_the_scope_for_it(api: BatchApi) -> None:
    api.post({"tasks": [echo()]}, authorizer=identity(scopes="tasks:read operate")).problem(403, "missing-scope")
