"""That the work grows with the length of the text, whatever it says.

Counted in calls, which a machine's load does not change; what happens inside a regular expression is
bounded by its structure.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from functions.worker.agents import document_text
from functions.worker.agents.document_text.classification import classify
from functions.worker.agents.document_text.extraction import extract
from functions.worker.agents.document_text.models import LIMITS
from functions.worker.agents.document_text.summary import summarize

LENGTH = 2000
SEEDS = [
    "a", " ", "\n", "\r\n", "word ", "a.\n", "1. ", "1.\n", "1. Aa Bb\n\n", "1.1. Aa Bb\nText is here now.\n",
    '"a ', '"a" ', "“a” means ", '(the "A") ', "``a'' ", ".", ". ", "e.g. ", "# a\n", "# A\n\n", "#", "=",
    "===\n", "Aa\n===\n\n", "==\nA\n==\n", "= a\n\n", "May ", "May 1 ", "2000 ", "2000-01-01 ", "1/1/",
    "in 2000 ", "(c) 2000, ", "©", "http://", "http://a.b/ ", "a@b.com ", "@", "www.", "//", "AAA BBB\n\n",
    "Aa Bb\n\n", "Contents\n", "Contents\n\n1. A\n\n", "```\n", "a::\n\n  b\n\n", "- a\n", "*", "**a** ",
    "**a**: b\n\n", "[", "[a](b) ", "`", "_", "\0", "这是一句话。", "مرحبا. ", "👩‍👩‍👧 ", "AAA. ",
    "This is a short sentence of words. ", "IV. AAA\n\n", "(1) Aa.\n\n", "Aa and Bb of ", "Section 1 -- ",
    "| a | b |\n", "<a>", "> ", "\t", "title: a\n", "* a *\n", "::\n\n",
]  # fmt: skip


def calls(work: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called."""
    count = 0

    def count_call(frame: object, event: str, argument: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    sys.setprofile(count_call)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def analyze(text: str) -> None:
    found = extract(text)
    classify(text, found.title, found.dates)
    summarize(text, 3)


@pytest.mark.parametrize("seed", SEEDS, ids=repr)
def test_twice_the_text_is_about_twice_the_work(seed: str) -> None:
    short, long = (seed * (size // len(seed)) for size in (LENGTH, 2 * LENGTH))
    analyze(long)  # what is made once is made here
    assert calls(lambda: analyze(long)) <= 2.3 * calls(lambda: analyze(short)) + 500


@pytest.mark.parametrize("seed", SEEDS, ids=repr)
def test_results_are_bounded_and_say_how_much_there_was(seed: str) -> None:
    found = extract(seed * (8 * LENGTH // len(seed)))
    for name, limit in LIMITS.items():
        assert len(getattr(found, name)) == min(limit, getattr(found.counts, name))


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    def inside(value: Any) -> Iterator[re.Pattern[str]]:
        if isinstance(value, re.Pattern):
            yield value
        elif isinstance(value, tuple | list):
            for item in value:
                yield from inside(item)

    for module in pkgutil.iter_modules(document_text.__path__, f"{document_text.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            for pattern in inside(value):
                yield f"{module.name.rpartition('.')[2]}.{name}", pattern


def nested_repetitions(tree: Any, outer: bool = False) -> Iterator[tuple[int, int]]:
    """The bounds of repetitions without a small bound that stand inside such a repetition."""
    for code, argument in tree:
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            low, high, body = argument
            endless = high == codes.MAXREPEAT
            if outer and endless:
                yield low, high
            yield from nested_repetitions(body, outer or endless)
        elif code is codes.SUBPATTERN:
            yield from nested_repetitions(argument[-1], outer)
        elif code is codes.BRANCH:
            for branch in argument[1]:
                yield from nested_repetitions(branch, outer)
        elif code in (codes.ASSERT, codes.ASSERT_NOT):
            yield from nested_repetitions(argument[1], outer)


@pytest.mark.parametrize(
    ("name", "pattern"), list(patterns()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_expression_repeats_a_repetition_without_bound(name: str, pattern: re.Pattern[str]) -> None:
    assert list(nested_repetitions(parser.parse(pattern.pattern, pattern.flags))) == []


def test_the_check_of_expressions_finds_what_it_looks_for() -> None:
    assert list(nested_repetitions(parser.parse(r"(?:a+b?)*c")))
    assert not list(nested_repetitions(parser.parse(r"(?:a{1,9}b)*c+")))
