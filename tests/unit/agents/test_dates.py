"""Which dates are found in a text, and which are not taken for one."""

from __future__ import annotations

import pytest

from functions.worker.agents.document_text.dates import find_dates


def isos(text: str) -> list[str]:
    return [found.iso for found in find_dates(text)]


@pytest.mark.parametrize(
    ("text", "iso", "precision"),
    [
        ("Version 3, 29 June 2007", "2007-06-29", "day"),
        ("on June 29, 2007.", "2007-06-29", "day"),
        ("On December 11th 1995,", "1995-12-11", "day"),
        ("the 3rd of March 2011", "2011-03-03", "day"),
        ("August 17th, 2003", "2003-08-17", "day"),
        ("Created: 29-May-2001", "2001-05-29", "day"),
        ("2021-Oct-12", "2021-10-12", "day"),
        ("Fri, 29 Jun 2007 12:00:00 +0000", "2007-06-29", "day"),
        ("Mon Jun  4 12:00:00 UTC 2007", "2007-06-04", "day"),
        ("2007-06-29T10:00:00Z", "2007-06-29", "day"),
        ("2007/06/29", "2007-06-29", "day"),
        ("31.12.1999", "1999-12-31", "day"),
        ("25/12/2020", "2020-12-25", "day"),
        ("12/25/2020", "2020-12-25", "day"),
        ("05/05/2020", "2020-05-05", "day"),
        ("am 31. Juli 1997", "1997-07-31", "day"),
        ("le 1er août 2004", "2004-08-01", "day"),
        ("el 31 de julio de 1997", "1997-07-31", "day"),
        ("10 marzo 2001", "2001-03-10", "day"),
        ("Version 2.0, January 2004", "2004-01", "month"),
        ("(Sept. 1995)", "1995-09", "month"),
        ("APRIL 1996", "1996-04", "month"),
        ("first released in 1996.", "1996", "year"),
        ("Copyright (C) 1989 Free Software", "1989", "year"),
        ("since the summer 1998,", "1998", "year"),
    ],
)
def test_a_date_is_found_as_precisely_as_it_is_written(text: str, iso: str, precision: str) -> None:
    found = find_dates(text)
    assert [(date.iso, date.precision) for date in found] == [(iso, precision)]


@pytest.mark.parametrize(
    "text",
    [
        "section 5 of this License",
        "Version 2, chapter 1991",
        "you may 2000 times",
        "30 February 2007",
        "2007-13-01",
        "2007-02-30",
        "03/04/2005",
        "1/6/94",
        "in 2000 files",
        "in 1995 percent",
        "192.168.10.2007",
        "phone 555-2007-06-2900",
        "release 1.2007-06-29x",
        "ISBN 1999-12-310",
        "http://example.org/2004/05/06/page",
        "June 17",
        "12 June",
        "Marching 2004",
        "inMarch 2004",
        "mars 2004",
    ],
)
def test_what_is_no_date_is_left_alone(text: str) -> None:
    assert isos(text) == []


def test_every_year_of_a_copyright_notice_is_found() -> None:
    assert isos("Copyright (C) 2000, 2001, 2007 Foundation\n© 1993-1998 B") == ["2000", "2001", "2007", "1993", "1998"]


def test_of_two_dates_that_overlap_the_longer_counts_once() -> None:
    assert isos("in June 1997 and 5 July 1997 and since 2003-06-05") == ["1997-06", "1997-07-05", "2003-06-05"]


def test_a_date_may_be_wrapped_to_the_next_line() -> None:
    (found,) = find_dates("ratified on December\n   2nd,\r\n 1998.")
    assert (found.iso, found.text) == ("1998-12-02", "December 2nd, 1998")


def test_the_offset_is_where_the_date_begins() -> None:
    text = "It was 5 May 2020, then 2021-01-02."
    assert [text[date.offset :][: len(date.text)] for date in find_dates(text)] == ["5 May 2020", "2021-01-02"]


def test_a_number_before_a_comma_is_no_day() -> None:
    assert isos("Version 2, June 1991") == ["1991-06"]
