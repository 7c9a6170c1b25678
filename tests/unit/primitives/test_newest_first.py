"""Pages of one list out of several sources: nothing twice, nothing left out, whatever is looked at when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.newest_first import Stretch, together


def looked_through(source: list[str], after: str, much: int) -> Stretch[str]:
    """A source of which the newest `much` below `after` were looked at; every third of those does not fit."""
    below = sorted((place for place in source if place < after), reverse=True)
    seen = below[:much]
    known_to = seen[-1] if len(below) > much and seen else ("" if len(below) <= much else after)
    return Stretch([place for place in seen if int(place) % 3], known_to)


@given(
    st.lists(st.sets(st.integers(100, 999), max_size=15), min_size=1, max_size=4),
    st.integers(1, 6),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
def test_all_pages_together_are_the_whole_list(numbers: list[set[int]], limit: int, looks: list[int]) -> None:
    taken: set[int] = set()
    sources = []
    for each in numbers:
        sources.append([str(number) for number in each - taken])
        taken |= each
    found: list[str] = []
    after = "~"
    for turn in range(1000):
        stretches = [
            looked_through(source, after, looks[(turn + number) % len(looks)]) for number, source in enumerate(sources)
        ]
        page, known_to = together(stretches, str, limit)
        assert len(page) <= limit
        found += page
        if not known_to:
            break
        assert known_to < after, "every page gets somewhere"
        after = known_to
    assert found == sorted((str(number) for number in taken if number % 3), reverse=True)


def test_what_was_not_looked_at_holds_back_everything() -> None:
    assert together([Stretch(["9", "8"], "8"), Stretch()], str, 5) == ([], "\x7f")


def test_no_source_is_an_empty_list() -> None:
    assert together([], str, 5) == ([], "")
