"""What a killed worker cost is counted from what the receiver saw."""

from __future__ import annotations

import pytest

from benchmarks.peers.measuring import Findings, Load, Sizes
from benchmarks.peers.programs.work import IO, NOTE
from benchmarks.peers.report import body
from benchmarks.peers.tally import Request, Toll, answered, middle_and_tail, per_minute, toll, total

KILLED_MS = 10_000.0
SIZES = Sizes(notes=100, io=60, paced=100, killed=90, kills=1)


def done(key: str, arrived_ms: float) -> Request:
    return Request(key, arrived_ms, arrived_ms + 200)


def cut_off(key: str, arrived_ms: float) -> Request:
    return Request(key, arrived_ms, None, cut_off=True)


def test_a_task_that_was_cut_off_and_done_again_is_double_and_recovered() -> None:
    requests = [done("a", 9_000), cut_off("b", 9_900), done("c", 10_500), done("b", 15_000)]
    assert toll(requests, ["a", "b", "c"], KILLED_MS) == Toll(
        tasks=3, cut_off=1, lost=0, double=1, double_though_done=0, recovered_seconds=5.2, finished_seconds=5.2
    )


def test_a_task_that_was_cut_off_and_never_done_is_lost_and_not_recovered() -> None:
    found = toll([done("a", 9_000), cut_off("b", 9_900)], ["a", "b"], KILLED_MS)
    assert (found.lost, found.double) == (1, 0)
    assert found.recovered_seconds is None
    assert found.finished_seconds is None


def test_a_task_that_never_came_is_lost() -> None:
    assert toll([done("a", 9_000)], ["a", "b"], KILLED_MS).lost == 1


def test_a_task_that_was_done_and_done_again_is_told_apart() -> None:
    found = toll([done("a", 9_000), done("a", 15_000)], ["a"], KILLED_MS)
    assert (found.cut_off, found.double, found.double_though_done) == (0, 1, 1)


def test_all_are_done_when_each_has_been_done_for_the_first_time() -> None:
    found = toll([done("a", 9_000), done("a", 15_000), done("b", 11_000)], ["a", "b"], KILLED_MS)
    assert found.finished_seconds == 1.2


def test_several_kills_are_added_up_and_the_longest_times_kept() -> None:
    first = toll([cut_off("a", 9_900), done("a", 15_000)], ["a"], KILLED_MS)
    second = toll([done("b", 10_500)], ["b"], KILLED_MS)
    assert total([first, second]) == Toll(2, 1, 0, 1, 0, recovered_seconds=5.2, finished_seconds=5.2)


def test_where_one_of_several_kills_lost_a_task_there_is_no_time_of_the_end() -> None:
    first = toll([cut_off("a", 9_900), done("a", 15_000)], ["a"], KILLED_MS)
    second = toll([], ["b"], KILLED_MS)
    found = total([first, second])
    assert (found.lost, found.recovered_seconds, found.finished_seconds) == (1, 5.2, None)


def test_requests_of_other_tasks_are_left_out() -> None:
    requests = [done("a", 9_000), done("z", 9_000), done("z", 9_500), cut_off("z", 9_900)]
    assert toll(requests, ["a"], KILLED_MS).double == 0
    assert answered(requests, ["a", "b"]) == {"a"}


def test_a_rate_is_tasks_a_minute() -> None:
    assert per_minute(100, 1_000, 7_000) == 1_000
    with pytest.raises(ValueError, match="time"):
        per_minute(100, 1_000, 1_000)


def test_percentiles_are_by_nearest_rank() -> None:
    assert middle_and_tail([float(value) for value in range(100, 0, -1)]) == (50.0, 95.0)
    assert middle_and_tail([7.0]) == (7.0, 7.0)


def test_what_could_not_be_run_keeps_its_row_and_says_why() -> None:
    measured = Findings("one", "it is set up", loads={NOTE: Load(1200.0, 3.0), IO: Load(600.0, 4.0)})
    other = Findings("other", "likewise", loads={NOTE: Load(600.0, 9.0)})
    missing = Findings("third", "otherwise", failures=["it is not installed: `install it`"])
    text = body([measured, other, missing], SIZES, short=True)
    rows = {line.split("|")[1].strip(): line for line in reversed(text.splitlines()) if line.startswith("| ")}
    assert "1,200" in rows["one"]
    assert "0.50" in rows["other"]
    assert "—" in rows["third"]
    assert "- third: it is not installed: `install it`" in text
    assert "no measurement" in text
