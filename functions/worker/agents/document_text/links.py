"""Web and e-mail addresses, found by linkify-it and normalized.

Refuses to take a file name for a host: an address without a scheme counts only with `www.` or a
generic top-level domain in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import urlsplit, urlunsplit

from linkify_it import LinkifyIt  # type: ignore[import-untyped]  # it ships no types

from functions.worker.agents.document_text.models import Link, LinkKind

_HINT = re.compile(r"//|www\.|@|mailto:|\.(?:com|org|net|edu|gov|int|mil)\b", re.IGNORECASE)
_REMOTE = re.compile(r":\w")  # user@host:path is no mailbox
_ENTITY = re.compile(r"&(?:gt|lt|quot|amp);?$")
_GENERIC = (".com", ".org", ".net", ".edu", ".gov", ".int", ".mil")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
_WINDOW = 2000
_MAX_ADDRESS = 2000
_CLOSERS = "\"'`*_>)]},.;:!?"


@cache
def _linkify() -> LinkifyIt:
    return LinkifyIt()


def find_links(text: str) -> list[Link]:
    """Every address in `text` once, in order of first mention."""
    found: dict[tuple[LinkKind, str], list[int]] = {}
    for offset, window in _windows(text):
        for match in _linkify().match(window) or []:
            if match.schema == "mailto:" and _REMOTE.match(window, match.last_index):
                continue
            address = _address(match.schema, match.raw, match.url)
            if address:
                found.setdefault(address, []).append(offset + match.index)
    return [
        Link.model_construct(kind=kind, target=target, mentions=len(offsets), offset=offsets[0])
        for (kind, target), offsets in found.items()
    ]


def _windows(text: str) -> Iterator[tuple[int, str]]:
    """The parts of the text that can hold an address, none longer than a window.

    The library's time grows faster than the length of what it is given at once, so a long line is
    cut between words; no address is cut in two unless it is longer than a window.
    """
    position = 0
    for line in text.splitlines(keepends=True):
        if _HINT.search(line):
            start = 0
            while start < len(line):
                end = start + _WINDOW
                if end < len(line):
                    blank = max(line.rfind(" ", start, end), line.rfind("\t", start, end))
                    end = blank + 1 if blank > start else end
                window = line[start:end]
                if _HINT.search(window):
                    yield position + start, window
                start = end
        position += len(line)


def _address(schema: str, raw: str, url: str) -> tuple[LinkKind, str] | None:
    if len(url) > _MAX_ADDRESS:
        return None
    if schema == "mailto:":
        local, _, host = url.removeprefix("mailto:").split("?")[0].rpartition("@")
        local = local.lstrip("<'`*_-")
        return ("email", f"{local}@{host.lower()}") if local and "." in host else None
    if schema == "//":
        return None
    if not schema and not _is_host(raw):
        return None
    try:
        url = _ENTITY.sub("", url).rstrip(_CLOSERS)
        if url.count("(") > url.count(")"):
            url += ")"
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    if not host.strip("."):
        return None
    scheme = parts.scheme.lower()
    shown = f"{host}:{port}" if port and port != _DEFAULT_PORTS.get(scheme) else host
    return "url", urlunsplit((scheme, shown, parts.path or "/", parts.query, parts.fragment))


def _is_host(raw: str) -> bool:
    host = raw.split("/", 1)[0].split(":", 1)[0]
    return raw.startswith("www.") or (host == host.lower() and host.endswith(_GENERIC))
