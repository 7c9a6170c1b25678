"""How a function's answer to a batch is read."""

from __future__ import annotations

from typing import Any

import pytest

from local.event_sources.partial_batch import failed_items

ITEMS = ["a", "b", "c"]


def failed(answer: Any, *, reports: bool = True) -> set[str]:
    return set(failed_items(answer, ITEMS, reports_item_failures=reports))


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}, {"other": 1}])
def test_nothing_reported_is_a_success(answer: Any) -> None:
    assert failed(answer) == set()


def test_the_named_items_failed_and_no_others() -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": "c"}, {"itemIdentifier": "a"}, {"itemIdentifier": "c"}]}
    assert failed(answer) == {"a", "c"}


@pytest.mark.parametrize(
    "failures",
    [
        [{"itemIdentifier": ""}],
        [{"itemIdentifier": None}],
        [{"itemIdentifier": "unknown"}],
        [{"itemIdentifier": "a"}, {"itemIdentifier": "unknown"}],
        [{"itemIdentifier": ["a"]}],
        [{"itemIdentifier": 1}],
        [{"ItemIdentifier": "a"}],
        [{}],
        ["a"],
        [None],
        "a",
        {"itemIdentifier": "a"},
        1,
    ],
)
def test_a_report_that_makes_no_sense_fails_the_whole_batch(failures: Any) -> None:
    assert failed({"batchItemFailures": failures}) == set(ITEMS)


@pytest.mark.parametrize("answer", ["ok", 1, True, [], ["a"]])
def test_an_answer_that_is_no_report_fails_the_whole_batch(answer: Any) -> None:
    assert failed(answer) == set(ITEMS)


@pytest.mark.parametrize("answer", [None, "ok", 1, {"batchItemFailures": [{"itemIdentifier": "a"}]}])
def test_a_mapping_that_asks_for_no_report_takes_any_answer_for_a_success(answer: Any) -> None:
    assert failed(answer, reports=False) == set()
