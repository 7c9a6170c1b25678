"""The load harness: what it sends does not depend on what it meets, and nothing that it meets is left out."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from benchmarks.load.__main__ import deployment, main, parser, plans
from benchmarks.load.histogram import Histogram
from benchmarks.load.open_loop import Sample, drive
from benchmarks.load.run import Plan, Result, run
from benchmarks.load.schedule import offsets
from tests.fakes.virtual_time import run_virtually


@pytest.mark.parametrize("scale", [0.01, 1, 50, 3000])
def test_percentiles_are_off_by_no_more_than_a_hundredth(scale: float) -> None:
    chance = random.Random(7)
    values = sorted(chance.lognormvariate(0, 1) * scale for _ in range(5000))
    histogram = Histogram.of_ms(values)
    for percent in (1, 50, 90, 99, 99.9, 100):
        exact = values[max(0, -(-len(values) * percent // 100).__int__() - 1)]
        assert histogram.percentile_ms(percent) == pytest.approx(exact, rel=0.01, abs=0.001)
    assert histogram.max_us == round(values[-1] * 1000)


def test_an_empty_histogram_knows_nothing() -> None:
    assert Histogram().percentile_ms(50) is None


def test_histograms_add_up_and_survive_json() -> None:
    low, high = Histogram.of_ms(range(100)), Histogram.of_ms(range(100, 200))
    low.add(Histogram.from_json(json.loads(json.dumps(high.to_json()))))
    assert low.to_json() == Histogram.of_ms(range(200)).to_json()


def test_a_constant_rate_is_evenly_apart_and_random_arrivals_are_not_but_as_many() -> None:
    assert offsets("constant", rate=4, seconds=1, seed=1) == [0, 0.25, 0.5, 0.75]
    poisson = offsets("poisson", rate=100, seconds=100, seed=1)
    assert poisson == sorted(poisson) == offsets("poisson", rate=100, seconds=100, seed=1)
    assert len(poisson) == pytest.approx(10_000, rel=0.05)
    gaps = [later - earlier for earlier, later in itertools.pairwise(poisson)]
    assert sum(gap < 0.01 / 2 for gap in gaps) == pytest.approx(len(gaps) * 0.393, rel=0.1)


class StallingServer:
    """Answers in ten milliseconds, one request after the other, save that it stands still for a while."""

    def __init__(self, *, at: float, seconds: float) -> None:
        self.at, self.seconds = at, seconds
        self.turn: asyncio.Lock | None = None

    async def answer(self, _number: int) -> None:
        self.turn = self.turn or asyncio.Lock()
        async with self.turn:
            now = asyncio.get_running_loop().time()
            stalled = self.at + self.seconds - now if self.at <= now < self.at + self.seconds else 0.0
            await asyncio.sleep(max(0.0, stalled) + 0.001)


def driven(send: Callable[[int], Any], *, connections: int) -> list[Sample[None]]:
    async def work() -> list[Sample[None]]:
        now = asyncio.get_running_loop().time
        due = offsets("constant", rate=100, seconds=10, seed=1)
        return await drive(due, send, connections=connections, begin=1.0, now=now)

    return run_virtually(work())


def test_a_server_that_stands_still_for_two_of_ten_seconds_is_seen_by_a_fifth_of_the_latencies() -> None:
    samples = driven(StallingServer(at=4.0, seconds=2.0).answer, connections=1)
    latencies = Histogram.of_ms(sample.latency_ms for sample in samples)
    service = Histogram.of_ms(sample.service_ms for sample in samples)
    assert len(samples) == 1000
    # Whoever was due in the stall waited for its end: evenly up to two seconds.
    assert sum(sample.latency_ms > 100 for sample in samples) == pytest.approx(210, abs=15)
    assert latencies.percentile_ms(90) == pytest.approx(1000, rel=0.15)
    # A closed loop would have met it once.
    assert sum(sample.service_ms > 100 for sample in samples) == 1
    assert service.percentile_ms(99) == pytest.approx(1, rel=0.1)


def test_what_is_sent_when_does_not_depend_on_the_answers() -> None:
    quick = driven(StallingServer(at=99.0, seconds=0.0).answer, connections=500)
    stalled = driven(StallingServer(at=2.0, seconds=2.0).answer, connections=500)
    assert [sample.sent for sample in quick] == [sample.sent for sample in stalled]
    assert [sample.due for sample in quick] == pytest.approx([1 + number / 100 for number in range(1000)])
    assert max(sample.late for sample in stalled) < 0.001


def test_no_more_is_under_way_than_there_are_connections() -> None:
    most = under_way = 0

    async def answer(_number: int) -> None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.5)
        under_way -= 1

    samples = driven(answer, connections=7)
    assert (len(samples), most) == (1000, 7)


@dataclass
class Fleet:
    """A deployment behind a real socket, and what it does wrong.

    Attributes:
        loses: Numbers of accepted tasks that never end.
        doubles: It makes a new task of a key that it has seen.
        drops: Submits whose connection is closed without an answer, the first time.
        refuses: Submits that are answered 429.
    """

    loses: set[int] = field(default_factory=set)
    drops: set[int] = field(default_factory=set)
    refuses: set[int] = field(default_factory=set)
    doubles: bool = False
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    submits: int = 0

    def submit(self, key: str) -> tuple[int, dict[str, Any] | None, dict[str, str]]:
        number = self.submits
        self.submits += 1
        if number in self.refuses:
            return 429, {"type": "https://x/problems/rate-limited"}, {}
        replayed = key in self.keys and not self.doubles
        if not replayed:
            task_id = f"tsk_{len(self.tasks)}"
            self.keys[key] = task_id
            at = f"2030-01-01T00:00:{len(self.tasks) % 60:02d}"
            ended = {"status": "succeeded", "started_at": f"{at}.010Z", "finished_at": f"{at}.050Z"}
            running = {"status": "running", "started_at": None, "finished_at": None}
            self.tasks[task_id] = {
                "id": task_id,
                "created_at": f"{at}.000Z",
                **(running if number in self.loses else ended),
            }
        headers = {"idempotent-replay": "true"} if replayed else {}
        return 202, None if number in self.drops else self.tasks[self.keys[key]], headers

    def answer(self, method: str, target: str, key: str) -> tuple[int, dict[str, Any] | None, dict[str, str]]:
        parts = urlsplit(target)
        if method == "POST":
            return self.submit(key)
        if parts.path.endswith("/events"):
            ends = [{"kind": kind} for kind in ("accepted", "started", "succeeded")]
            return 200, {"items": ends, "next_cursor": None}, {}
        if parts.path == "/v1/tasks":
            query = parse_qs(parts.query)
            start, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
            every = list(self.tasks.values())[::-1]
            more = str(start + limit) if start + limit < len(every) else None
            return 200, {"items": every[start : start + limit], "next_cursor": more}, {}
        task = self.tasks.get(parts.path.rpartition("/")[2])
        return (404, {}, {}) if task is None else (200, task, {})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)
                }
                await reader.readexactly(int(headers.get("content-length", "0")))
                assert headers["authorization"] == "Bearer secret"
                method, target, _ = lines[0].split(" ")
                status, body, more = self.answer(method, target, headers.get("idempotency-key", ""))
                if body is None:
                    break
                text = json.dumps(body).encode()
                head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(text)}\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(head.encode() + b"\r\n" + text)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def loaded(fleet: Fleet, *, patience: float = 5.0) -> Result:
    async def work() -> Result:
        server = await asyncio.start_server(fleet.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plan = Plan(
            body={"agent": "a", "input": 1},
            rate=1000,
            seconds=0.25,
            arrivals="constant",
            connections=8,
            patience_seconds=patience,
            logs=10,
            replays=10,
        )
        async with server:
            return await run(f"http://127.0.0.1:{port}", "secret", plan)

    return asyncio.run(work())


def test_a_run_finds_every_task_by_few_calls() -> None:
    result = loaded(Fleet())
    done = result.reconciled
    assert (result.sent, done.accepted, result.words) == (250, 250, {"accepted": 250})
    assert (done.ends, done.lost, done.doubled) == ({"succeeded": 250}, [], [])
    assert (done.logs, done.replays, done.calls) == (10, 10, 1 + 3 + 10 + 10)
    assert done.to_finish.percentile_ms(50) == pytest.approx(50, rel=0.01)
    assert done.kept
    assert json.loads(json.dumps(result.to_json()))["accepted"] == 250


def test_a_task_that_never_ends_is_lost() -> None:
    done = loaded(Fleet(loses={17}), patience=0.0).reconciled
    assert (done.lost, done.kept) == (["tsk_17"], False)


def test_a_key_that_stands_for_two_tasks_is_found_by_sending_it_again() -> None:
    done = loaded(Fleet(doubles=True)).reconciled
    assert len(done.doubled) == 10
    assert not done.kept


def test_what_was_not_answered_is_settled_by_its_key_and_counts_once() -> None:
    fleet = Fleet(drops={3, 5})
    result = loaded(fleet)
    done = result.reconciled
    assert (done.unknown, done.found, done.accepted, len(fleet.tasks)) == (2, 2, 250, 250)
    assert sum(count for word, count in result.words.items() if word.startswith("unknown")) == 2
    assert done.kept


def test_what_was_refused_is_counted_by_its_reason_and_promised_nothing() -> None:
    result = loaded(Fleet(refuses={0, 1, 2}))
    assert result.words == {"accepted": 247, "refused: 429 rate-limited": 3}
    assert result.reconciled.accepted == 247


def test_another_machine_is_not_sent_anything_unless_it_is_said_that_this_costs_money(
    capsys: pytest.CaptureFixture[str],
) -> None:
    elsewhere = ["--url", "https://api.example", "--key", "k", "--rate", "200", "--seconds", "60"]
    assert main(elsewhere) == 2
    assert "12,000 tasks for about $0.07" in capsys.readouterr().err
    assert deployment(parser().parse_args([*elsewhere, "--yes-this-costs-money"])).api_url == "https://api.example"
    assert deployment(parser().parse_args(["--url", "http://127.0.0.1:1/x/", "--key", "k"])).on_this_machine


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate", "0"],
        ["--rate", "5000"],
        ["--seconds", "90000"],
        ["--rate", "2000", "--seconds", "3600"],
        ["--connections", "0"],
        ["--input", "{"],
    ],
)
def test_what_is_unreasonable_is_not_begun(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match=r"at most|from 1 to|Expecting"):
        plans(parser().parse_args(arguments))
