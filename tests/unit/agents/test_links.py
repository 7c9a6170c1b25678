"""Which addresses are found, and how they are normalized."""

from __future__ import annotations

import pytest

from functions.worker.agents.document_text.links import _WINDOW, _windows, find_links


def targets(text: str) -> list[str]:
    return [link.target for link in find_links(text)]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("see <https://fsf.org/>.", "https://fsf.org/"),
        ("at http://www.gnu.org/licenses/.", "http://www.gnu.org/licenses/"),
        ("HTTP://Example.COM:80/A?b=C#d", "http://example.com/A?b=C#d"),
        ("https://example.com:8443/x", "https://example.com:8443/x"),
        ("http://example.com", "http://example.com/"),
        ("[text](https://example.org/a_(b))", "https://example.org/a_(b)"),
        ("`home <https://example.org/x>`__", "https://example.org/x"),
        ("or www.gnu.org, and", "http://www.gnu.org/"),
        ("at creativecommons.org/policies, by", "http://creativecommons.org/policies"),
        ("&lt;https://www.gnu.org/licenses/&gt;", "https://www.gnu.org/licenses/"),
        ("ftp://ftp.example.org/pub", "ftp://ftp.example.org/pub"),
        ("http://مثال.إختبار/x", "http://مثال.إختبار/x"),
    ],
)
def test_a_web_address_is_found_without_what_surrounds_it(text: str, target: str) -> None:
    (link,) = find_links(text)
    assert (link.kind, link.target) == ("url", target)


@pytest.mark.parametrize("text", ["<Jane.Doe@Example.COM>", "mailto:Jane.Doe@example.com?subject=x"])
def test_an_address_of_a_mailbox_keeps_its_local_part(text: str) -> None:
    (link,) = find_links(text)
    assert (link.kind, link.target) == ("email", "Jane.Doe@example.com")


@pytest.mark.parametrize(
    "text",
    [
        "README.md and setup.py",
        "ASP.NET",
        "git@example.com:team/project.git",
        "1.2.3.4",
        "user@host",
        "//cdn.x.y/z",
        "a@b",
    ],
)
def test_what_only_looks_like_an_address_is_left_alone(text: str) -> None:
    assert targets(text) == []


def test_an_address_counts_once_however_often_it_is_written() -> None:
    (link,) = find_links("http://Example.org x http://example.org/ y http://example.org:80")
    assert (link.mentions, link.offset) == (3, 0)


def test_offsets_hold_across_lines_and_windows() -> None:
    text = "a\r\n" + "word " * 1000 + "http://example.org/a\n" + "http://example.org/b"
    assert [text[link.offset :].split(maxsplit=1)[0] for link in find_links(text)] == targets(text)


def test_no_window_is_longer_than_the_bound_and_none_of_the_hints_is_lost() -> None:
    text = "http://example.org/" + "x" * 3 * _WINDOW + " a@b.com" * 1000
    pieces = list(_windows(text))
    assert max(len(piece) for _, piece in pieces) <= _WINDOW
    assert all(text.startswith(piece, offset) for offset, piece in pieces)
