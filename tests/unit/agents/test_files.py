"""Files of tasks: the tasks of a run share a folder, and no name leads out of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from flotilla.agents.files import Files, folder_of
from flotilla.errors import AttemptRevokedError, FlotillaError, PermanentError, StoreUnavailableError
from flotilla.models import TaskMessage, WorkflowStep
from tests.fakes import MemoryPayloadStore
from tests.unit.agents.contexts import StepsOfATask
from tests.unit.services.fleet import run

RUN = "wfl_" + "1" * 32
ALONE = StepsOfATask().message
IN_A_RUN = replace(ALONE, workflow=WorkflowStep(RUN, "Extract", "token"))


class Supervisor:
    """Lets an attempt go on so many times."""

    def __init__(self, times: int = 10_000) -> None:
        self.times = times

    async def go_on(self) -> None:
        self.times -= 1
        if self.times < 0:
            raise AttemptRevokedError


def files(store: MemoryPayloadStore, message: TaskMessage = IN_A_RUN, *, times: int = 10_000) -> Files:
    return Files(store, message, Supervisor(times))


def test_tasks_of_a_run_share_what_they_write() -> None:
    store = MemoryPayloadStore()
    key = run(files(store).write("pages/1.txt", b"one"))
    assert key == f"workflows/{RUN}/pages/1.txt"
    other = replace(IN_A_RUN, task_id="tsk_other")
    assert run(files(store, other).read("pages/1.txt")) == b"one"
    assert run(files(store, other).read(key)) == b"one"


def test_a_task_outside_of_workflows_has_files_of_its_own() -> None:
    store = MemoryPayloadStore()
    key = run(files(store, ALONE).write("a.txt", b"1"))
    assert key == f"tenants/acme/tasks/{ALONE.task_id}/files/a.txt" == folder_of(ALONE) + "a.txt"
    with pytest.raises(PermanentError) as raised:
        run(files(store, replace(ALONE, task_id="tsk_other")).read(key))
    assert raised.value.code == "file_not_allowed"


def test_what_an_operator_put_there_for_the_tenant_can_be_read_and_not_written() -> None:
    store = MemoryPayloadStore()
    key = "workflows/inputs/acme/2026/all.jsonl"
    store.objects[key] = b"{}"
    assert run(files(store).read(key)) == b"{}"
    assert run(files(store, ALONE).read(key)) == b"{}"
    run(files(store).write("inputs/acme/2026/all.jsonl", b"mine"))
    assert store.objects[key] == b"{}"


@pytest.mark.parametrize(
    "key",
    [
        "workflows/wfl_2/manifest.jsonl",
        "workflows/inputs/other/all.jsonl",
        "workflows/inputs/acme-2/all.jsonl",
        "tenants/acme/tasks/tsk_2/input.json",
        "workflows/inputs/",
    ],
)
def test_what_is_anothers_cannot_be_read(key: str) -> None:
    store = MemoryPayloadStore()
    store.objects[key] = b"secret"
    with pytest.raises(PermanentError) as raised:
        run(files(store).read(key))
    assert raised.value.code == "file_not_allowed"


@pytest.mark.parametrize(
    "name",
    ["", "/", "a/", "/a", "a//b", "..", "a/../b", "../x", ".hidden", "a/.b", "a b", "größe", "a\n", "x" * 600, "a\\b"],
)
def test_names_that_could_lead_elsewhere_are_none(name: str) -> None:
    store = MemoryPayloadStore()
    for work in (files(store).write(name, b""), files(store).read(name)):
        with pytest.raises(PermanentError) as raised:
            run(work)
        assert raised.value.code == "invalid_file_name"
    assert not store.objects


@pytest.mark.parametrize("folder", [f"workflows/{RUN}/", "workflows/inputs/acme/"])
def test_whole_keys_lead_out_of_no_folder_either(folder: str) -> None:
    with pytest.raises(PermanentError) as raised:
        run(files(MemoryPayloadStore()).read(f"{folder}../../tenants/acme/x"))
    assert raised.value.code == "invalid_file_name"


def test_a_file_that_is_not_there_is_missed_for_good() -> None:
    with pytest.raises(PermanentError) as raised:
        run(files(MemoryPayloadStore()).read("a.txt"))
    assert raised.value.code == "file_missing"


def test_an_attempt_that_may_not_go_on_writes_and_reads_nothing() -> None:
    store = MemoryPayloadStore()
    for work in (files(store, times=0).write("a", b""), files(store, times=0).read("a")):
        with pytest.raises(AttemptRevokedError):
            run(work)
    assert not store.objects


class Failing(MemoryPayloadStore):
    """Does not answer when it is asked for one key."""

    async def put(self, key: str, content: bytes) -> None:
        await asyncio.sleep(0)
        if key.endswith("/30"):
            raise StoreUnavailableError("it did not answer")
        await super().put(key, content)

    async def get(self, key: str) -> bytes:
        raise StoreUnavailableError("it did not answer")


def test_many_are_written_at_once() -> None:
    store = MemoryPayloadStore()
    run(files(store).write_all({str(number): str(number).encode() for number in range(100)}))
    assert len(store.objects) == 100
    run(files(store).write_all({}))


def test_of_many_the_rest_is_not_begun_once_one_failed() -> None:
    store = Failing()
    with pytest.raises(StoreUnavailableError):
        run(files(store).write_all({str(number): b"" for number in range(1000)}))
    assert len(store.objects) < 100


def test_an_outage_is_no_missing_file() -> None:
    with pytest.raises(StoreUnavailableError):
        run(files(Failing()).read("a"))


def test_where_there_are_none_it_says_so() -> None:
    async def reads(ctx: Any) -> Any:
        return await ctx.files.read("a")

    with pytest.raises(FlotillaError) as raised:
        StepsOfATask().attempt(reads)
    assert raised.value.code == "file_not_allowed"
