"""`flotilla plan`: what is typed, what is printed, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from cli.__main__ import main
from cli.drawing import Panel, drawing, sparkline
from cli.plan import rate_per_minute


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    def write(text: str = "") -> str:
        path = tmp_path / "fleet.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    status = main(["plan", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_a_load_that_is_typed_is_planned_on_the_default_lane(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = planned(capsys, "--config", settings(), "--rate", "10000/min", "--seconds", "6")
    assert status == 0
    assert found["carries"]
    [lane] = found["lanes"]
    assert (lane["load"]["lane"], lane["concurrency"]["in_progress"]) == ("standard", pytest.approx(1_000))


def test_a_fleet_that_cannot_carry_the_load_ends_with_1(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = planned(capsys, "--config", settings(), "--rate", "10000/min", "--seconds", "30")
    assert status == 1
    assert found["bottleneck"]["setting"] == "lanes.standard.maximum_concurrency"


def test_declared_loads_are_planned_together_also_where_synth_refuses_them(
    settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "[load.standard]\nrate_per_minute = 10000\nseconds = 30\n[load.batch]\nrate_per_minute = 60\nseconds = 60\n"
    status, found = planned(capsys, "--config", settings(text))
    assert status == 1
    assert [lane["load"]["lane"] for lane in found["lanes"]] == ["standard", "batch"]


def test_what_is_typed_is_laid_over_what_is_declared(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = "[load.batch]\nrate_per_minute = 60\nseconds = 60\ntenants = 7\n"
    _, found = planned(capsys, "--config", settings(text), "--lane", "batch", "--rate", "2/s")
    load = found["lanes"][0]["load"]
    assert (load["rate_per_minute"], load["seconds"], load["tenants"]) == (120, 60, 7)


def test_the_plan_is_said_in_words(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--config", settings(), "--rate", "1000000/min", "--seconds", "30"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "Lane standard: 1,000,000 tasks a minute of 30 s",
        "7 regions x 1 fleets in each x 9 of lane standard in each fleet: 63 queues",
        "at least 11 tenants, or as many fleets",
        "Quotas of AWS to raise",
        "L-B99A9384",
        "First bottleneck: lane standard: invocations at once",
        "Next: account: concurrent executions",
        "Temporal Cloud",
        "Idle, in a month without work",
        "The fleet as it is set CANNOT carry the load",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "what load?"),
        (["--rate", "fast", "--seconds", "6"], "--rate: 'fast' is none of"),
        (["--rate", "10/min"], "--seconds is missing"),
        (["--rate", "0/min", "--seconds", "6"], "--rate:"),
        (["--rate", "10/min", "--seconds", "6", "--lane", "night"], "no lane is named 'night'"),
        (["--rate", "10/min", "--seconds", "6", "--model", "gpt"], "no model is named 'gpt'"),
        (["--rate", "10/min", "--seconds", "6", "--svg", "x.svg"], "--svg draws what --simulate shows"),
        (["--rate", "10/min", "--seconds", "6", "--submit-batch", "101"], "--submit-batch:"),
    ],
)
def test_what_cannot_be_planned_ends_with_2(
    settings: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["plan", "--config", settings(), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_settings_with_a_mistake_are_not_planned(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--config", settings("name = 3\n")]) == 2
    assert "cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10000/min", 10_000), ("167/s", 10_020), ("600,000/h", 10_000), ("10000", 10_000), ("1.5/s", 90)],
)
def test_rates_are_of_a_minute_a_second_or_an_hour(text: str, rate: float) -> None:
    assert rate_per_minute(text) == pytest.approx(rate)


def test_the_load_is_simulated_and_drawn(settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = tmp_path / "load.svg"
    typed = ["--rate", "600/min", "--seconds", "2", "--simulate", "--minutes", "10", "--svg", str(drawn)]
    status, found = planned(capsys, "--config", settings(), *typed)
    assert status == 0
    lane = found["simulation"]["lanes"]["standard"]
    assert lane["tasks"] == pytest.approx(6_000, rel=0.1)
    assert {len(values) for values in lane["series"].values()} == {10}
    picture = ET.fromstring(drawn.read_text(encoding="utf-8"))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 4


def test_a_simulation_is_shown_minute_by_minute(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["--config", settings("[scaler]\nenabled = false\n"), "--rate", "600/min", "--seconds", "2", "--simulate"]
    assert main(["plan", *typed, "--minutes", "5"]) == 0
    said = capsys.readouterr().out
    assert "Simulated: 5 minutes, lanes at their maximum throughout" in said
    assert "█" in said


def test_a_sparkline_has_its_highest_value_full_and_nothing_empty() -> None:
    assert sparkline([0, 1, 2, 4]) == " ▂▄█"
    assert sparkline([0, 0]) == "  "
    assert sparkline([1, 9] * 30, width=30) == "█" * 30  # the highest of neighbours


def test_a_drawing_names_whose_lines_they_are() -> None:
    text = drawing([Panel("wait <s>", {"a & b": [1.0, 2.0]})], across="minutes")
    ET.fromstring(text)
    assert "a &amp; b" in text
    assert "wait &lt;s&gt;" in text
