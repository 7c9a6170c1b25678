"""A scripted dependency does what its script says, every time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.fault_lab.script import FOLDER, Phase, Reply, Running, Script
from benchmarks.fault_lab.server import FaultServer
from tests.fakes.virtual_time import run_virtually


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_script_that_is_shipped_can_be_played(path: Path) -> None:
    running = Running(Script.named(path.stem), 0.0)
    assert {running.meets(second / 10).reply.status for second in range(600)}


def test_the_same_seed_does_the_same_and_another_does_not() -> None:
    replies = (Reply(weight=1, latency_ms=(0, 100)), Reply(weight=1, status=500))

    def played(seed: int) -> list[object]:
        running = Running(Script.steady(*replies, seed=seed), 0.0)
        return [running.meets(0.0) for _ in range(50)]

    assert played(1) == played(1)
    assert played(1) != played(2)


def test_replies_are_met_as_often_as_they_weigh() -> None:
    running = Running(Script.named("background_errors"), 0.0)
    met = Counter(running.meets(0.0).reply.status for _ in range(5000))
    assert 400 < met[500] < 600


def test_phases_end_by_time_or_by_requests() -> None:
    script = Script(
        (Phase((Reply(status=200),), seconds=10), Phase((Reply(status=500),), requests=2), Phase((Reply(status=204),)))
    )
    running = Running(script, 100.0)
    assert [running.meets(second).reply.status for second in (100.0, 109.9, 110.0, 111.0, 112.0, 999.0)] == [
        200,
        200,
        500,
        500,
        204,
        204,
    ]


@pytest.mark.parametrize(
    "text",
    ["phases = []", "[[phases]]\nsecond = 3", "[[phases]]\n[[phases.replies]]\nsatus = 1", "speed = 1\n[[phases]]"],
)
def test_what_is_no_script_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, TypeError)):
        Script.read(path)


def test_the_server_answers_as_openai_compatible_servers_do_and_can_be_told_otherwise() -> None:
    import httpx

    asked = {"model": "m", "messages": [{"role": "user", "content": "four words are here"}]}
    with FaultServer(Script.steady()) as server, httpx.Client(trust_env=False) as client:
        answer = client.post(f"{server.url}/v1/chat/completions", json=asked).json()
        assert (answer["model"], answer["usage"]["prompt_tokens"]) == ("m", 4)
        assert answer["choices"][0]["message"]["content"] == "4 words"
        server.follow(Script.steady(Reply(status=500)))
        assert client.post(f"{server.url}/v1/chat/completions", json=asked).status_code == 500
        assert [received.status for received in server.received] == [200, 500]


def test_virtual_time_plays_hours_at_once() -> None:
    async def hours() -> int:
        running = Running(Script.named("outage"), 0.0)
        return running.meets(3600.0).reply.status

    assert run_virtually(hours()) == 200
