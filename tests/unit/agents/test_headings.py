"""Which lines are headings, in the styles documents are written in."""

from __future__ import annotations

from itertools import pairwise

import pytest

from functions.worker.agents.document_text.headings import find_outline
from functions.worker.agents.document_text.layout import lay_out

BODY = "This is a paragraph of running text that is long enough to be taken for one and ends as one does."


def headings(text: str) -> list[tuple[int, str | None, str]]:
    return [(heading.level, heading.number, heading.title) for heading in find_outline(lay_out(text)).headings]


def titles(text: str) -> list[str]:
    return [title for _, _, title in headings(text)]


def title(text: str) -> str | None:
    found = find_outline(lay_out(text)).title
    return found.text if found else None


def test_markdown_headings_have_the_level_of_their_marks() -> None:
    text = f"# Guide\n\n{BODY}\n\n## First *part*\n{BODY}\n### See [this](http://a.b) ###\n\n{BODY}\n"
    assert title(text) == "Guide"
    assert headings(text) == [(2, None, "First part"), (3, None, "See this")]


def test_a_comment_in_code_is_no_heading() -> None:
    assert titles(f"# Guide\n\n```sh\n# not a heading\n```\n\n# one\n# two\n\n{BODY}") == []


def test_underlined_headings_rank_by_first_use() -> None:
    text = f"Title\n=====\n\nOne\n---\n\n{BODY}\n\nDeep\n~~~~\n\n{BODY}\n\nTwo\n---\n\n{BODY}"
    assert headings(text) == [(2, None, "One"), (3, None, "Deep"), (2, None, "Two")]


def test_an_overlined_title_is_one() -> None:
    assert title(f"=========\n My Title\n=========\n\n{BODY}") == "My Title"


def test_a_rule_that_does_not_fit_the_line_above_it_underlines_nothing() -> None:
    assert titles(f"Title\n=====\n\n{BODY}\nend\n{'-' * 60}\n\n{BODY}") == []


def test_asciidoc_headings() -> None:
    text = f"= Manual\n\n{BODY}\n\n== Setup\n\n{BODY}\n\n=== Deep ===\n\n{BODY}"
    assert headings(text) == [(2, None, "Setup"), (3, None, "Deep")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  0. Definitions.", (1, "0", "Definitions")),
        ("1.Definitions", (1, "1", "Definitions")),
        ("4.2. Powers", (2, "4.2", "Powers")),
        ("3.1 Purpose", (2, "3.1", "Purpose")),
        ("IV. GOOD-PRACTICE RECOMMENDATIONS", (1, "IV", "GOOD-PRACTICE RECOMMENDATIONS")),
        ("A.0. Proposal", (2, "A.0", "Proposal")),
        ("Section 1 -- Scope.", (1, "1", "Scope")),
        ("ARTICLE I", (1, "I", "ARTICLE I")),
        ("Chapter 2. Leadership", (1, "2", "Leadership")),
        ("Exhibit A - License Notice", (1, "A", "Exhibit A - License Notice")),
        ("§ 5. Haftung", (1, "5", "Haftung")),
        ("3.4. /bin : Essential commands", (2, "3.4", "/bin : Essential commands")),
    ],
)
def test_a_numbered_heading_has_its_number_and_depth(line: str, expected: tuple[int, str, str]) -> None:
    assert headings(f"A License\n\n{BODY}\n\n{line}\n\n{BODY}\n") == [expected]


def test_a_title_that_runs_into_its_text_is_cut_off_there() -> None:
    text = (
        f"A License\n\n   2. Grant of Patent License. Subject to the terms and conditions of\n   this License, {BODY}"
    )
    (heading,) = find_outline(lay_out(text)).headings
    assert (heading.number, heading.title) == ("2", "Grant of Patent License")
    assert text[heading.start : heading.end] == "2. Grant of Patent License."


def test_a_heading_may_have_its_text_on_the_very_next_line() -> None:
    text = f'A License\n\n1.1. "Contributor"\n    means each individual that creates something.\n\n{BODY}'
    assert headings(text) == [(2, "1.1", '"Contributor"')]


def test_clauses_with_a_title_of_their_own_are_sections_also_without_blank_lines() -> None:
    text = (
        "Promises\n\n    1. We will not hide problems\n       We will keep our reports open for all to see and read.\n"
        "    2. Our users come first\n       We will be guided by the needs of our users and nobody else.\n"
    )
    assert headings(text) == [(1, "1", "We will not hide problems"), (1, "2", "Our users come first")]


@pytest.mark.parametrize(
    "items",
    [
        "1. Redistributions of source code must retain the above copyright\n   notice and this list.\n2. Others.",
        "  0. This License applies to any program or other work which contains\na notice.",
        " 1. The Developers;\n 2. The Project Leader;\n 3. The Committee.",
        "1. Copy it.\n\n2. Change it.\n\n3. Pass it on.",
        "a) first of all\nb) then",
        "14 days after receipt of the notice",
    ],
)
def test_items_and_clauses_without_a_title_are_no_headings(items: str) -> None:
    assert titles(f"A License\n\n{BODY}\n\n{items}\n\n{BODY}\n") == []


def test_numbers_of_lists_inside_numbered_sections_are_no_sections() -> None:
    sections = "".join(
        f"{number}. Part {word}\n\n   {BODY}\n\n" for number, word in ((1, "One"), (2, "Two"), (3, "Three"))
    )
    inner = f"    1. Details of it\n       It says more about that matter and {BODY}\n\n"
    assert titles(f"A Charter\n\n{sections}{inner}") == ["Part One", "Part Two", "Part Three"]


@pytest.mark.parametrize(
    "line", ["PREAMBLE", "TERMS AND CONDITIONS", "How to Apply These Terms", "Definitions:", "序言"]
)
def test_a_short_line_alone_over_its_text_is_a_heading(line: str) -> None:
    text = f"A License\n\n{BODY}\n\n                  {line}\n\n{BODY}\n"
    assert titles(text) == ([line.rstrip(":")] if line.isascii() else [])


def test_a_line_that_stands_out_to_the_left_is_a_heading() -> None:
    text = f"Title\n\n   {BODY}\n\nWhat does it belong to?\n\n   {BODY}\n\n Smaller question here\n\n   {BODY}"
    assert headings(text) == [(1, None, "What does it belong to?"), (2, None, "Smaller question here")]


@pytest.mark.parametrize(
    "line",
    [
        "Copyright (c) 2007 Free Software Foundation",
        "Version 1.1 - 26 February 2007",
        "<one line to give the name>",
        "Jane Doe <jane@example.org>",
        "https://Example.org/Some/Page",
        "It was so.",
        "See also:",
        "---",
        "THIS SOFTWARE IS PROVIDED AS IS,",
    ],
)
def test_lines_about_the_document_are_no_headings(line: str) -> None:
    assert titles(f"A License\n\n{BODY}\n\n{line}\n\n{BODY}\n") == []


def test_a_table_of_contents_is_not_taken_for_the_sections() -> None:
    text = (
        "A Standard\n\nTable of Contents\n\n1. Introduction\n\n    1.1. Purpose\n    1.2. Scope\n\n2. Terms\n3. Do\n\n"
        f"Chapter 1. Introduction\n\n1.1. Purpose\n\n{BODY}\n\n1.2. Scope\n\n{BODY}\n\nChapter 2. Terms\n\n{BODY}\n"
    )
    assert headings(text) == [(1, "1", "Introduction"), (2, "1.1", "Purpose"), (2, "1.2", "Scope"), (1, "2", "Terms")]


def test_a_repeated_title_and_an_end_mark_are_no_sections() -> None:
    text = f"GREAT LICENSE\nVersion 2, June 1991\n\n{BODY}\n\nGREAT LICENSE\nTERMS\n\n{BODY}\n\nEND OF TERMS\n\n{BODY}"
    assert title(text) == "GREAT LICENSE Version 2"
    assert titles(text) == ["TERMS"]


def test_text_in_a_box_of_stars_is_read_without_it() -> None:
    box = "*****************\n*               *\n*  Warranty     *\n*  --------     *\n*****************\n"
    text = f"Licence\n=======\n\n{BODY}\n\n{box}"
    assert titles(text) == ["Warranty"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"\n\n      Apache License\n    Version 2.0, January 2004\n http://www.apache.org/\n\n{BODY}",
            "Apache License Version 2.0",
        ),
        (f"Boost License - Version 1.0 - August 17th, 2003\n\n{BODY}", "Boost License - Version 1.0"),
        (f"Legal Code\n\nCC0 1.0 Universal\n\n{BODY}", "Legal Code: CC0 1.0 Universal"),
        (f"ISC License:\n\nCopyright (c) 2004 by X\n\n{BODY}", "ISC License"),
        (f"zlib License\n\n{BODY}", "zlib License"),
        (f".. include:: x.rst\n\nA Primer\n========\n\n{BODY}", "A Primer"),
        (f"PEP: 257\nTitle: Docstring Conventions\nStatus: Active\n\n{BODY}", "Docstring Conventions"),
        (f'---\ntitle: "My Page"\n---\n\n{BODY}', "My Page"),
        (f"# Über uns\n\n{BODY}", "Über uns"),
        (f"اتفاقية الخدمة\n\n{BODY}", "اتفاقية الخدمة"),
        (f"Copyright (c) <year> <owner>\n\n{BODY}", None),
        (f"{BODY}\n\n{BODY}", None),
        ("", None),
    ],
)
def test_the_title_is_what_the_document_calls_itself(text: str, expected: str | None) -> None:
    assert title(text) == expected


def test_headings_do_not_overlap_and_stand_where_they_say() -> None:
    text = f"# T\r\n\r\n## A\r\n{BODY}\r\n\r\nB\r\n---\r\n{BODY}\r\n"
    found = find_outline(lay_out(text)).headings
    assert [text[heading.start :].splitlines()[0] for heading in found] == ["## A", "B"]
    assert all(one.end <= other.start for one, other in pairwise(found))
