"""An agent's input as a person types it: `text=@README.md pages:=3 lang=en`.

    NAME=TEXT      a string
    NAME=@FILE     what a file says (`@-` for standard input)
    NAME:=JSON     any other value

It makes an object and checks nothing: that is the agent's schema's business, and the API's.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_MEMBER = re.compile(r"(?P<name>[^=:]+)(?P<kind>:=|=)(?P<value>.*)", re.DOTALL)


class InputError(Exception):
    """What was typed makes no input; the message says why."""


def read_input(members: Sequence[str], document: str | None) -> Any:
    """The input that was typed.

    Args:
        members: `NAME=TEXT`, `NAME=@FILE` and `NAME:=JSON`.
        document: The whole input as JSON, `@FILE` that holds it, or `-`; instead of members.

    Raises:
        InputError: Both or neither were given, or one of them cannot be read.
    """
    if document is not None:
        if members:
            raise InputError("give either --input or members, not both")
        return read_document(document)
    if not members:
        raise InputError("an agent needs an input: NAME=TEXT, NAME=@FILE, NAME:=JSON, or --input JSON")
    value: dict[str, Any] = {}
    for member in members:
        match = _MEMBER.fullmatch(member)
        if match is None:
            raise InputError(f"{member!r} is none of NAME=TEXT, NAME=@FILE, NAME:=JSON")
        name, text = match["name"], _text(match["value"])
        value[name] = _json(text, name) if match["kind"] == ":=" else text
    return value


def read_document(document: str, option: str = "--input") -> Any:
    """A whole input, or what another option takes: JSON, `@FILE` that holds it, or `-` for standard input.

    Raises:
        InputError: It cannot be read.
    """
    return _json(_text("@-" if document == "-" else document), option)


def read_labels(labels: Sequence[str]) -> dict[str, str]:
    """`NAME=TEXT`, each as it was typed.

    Raises:
        InputError: One is something else.
    """
    read: dict[str, str] = {}
    for label in labels:
        name, equals, text = label.partition("=")
        if not name or not equals:
            raise InputError(f"{label!r} is no label: NAME=TEXT")
        read[name] = text
    return read


def _text(given: str) -> str:
    if not given.startswith("@"):
        return given
    try:
        return sys.stdin.read() if given == "@-" else Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{given[1:]}: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}") from error


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} holds no JSON: {error}") from None
