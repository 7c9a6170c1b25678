"""Reads a webhook's URL, strictly: what two parsers could read differently is refused.

Refuses everything but `https://host[:port][/path][?query]` in plain ASCII: no user or password, no fragment, no
backslash, no host in a disguise (octal, hexadecimal or abbreviated numbers, escapes, a trailing dot).
"""

from __future__ import annotations

import re
from collections.abc import Container
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from flotilla.broadcast import Target

MAX_CHARACTERS = 2048
LOWEST_OTHER_PORT = 1024
"""Below it only 443: a webhook has no business with the well-known ports of other protocols."""

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[^/?#:@\[\]]+|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[!$-;=?-Z\[\]_a-z~]+")  # visible ASCII without " # < > \ ^ ` { | }
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_HOST_CHARACTERS = 253


class InvalidUrlError(ValueError):
    """It is no URL that a webhook can have; the message says why, fit for the client."""


def target_of(url: str, allow: Container[str] = ()) -> Target:
    """Where `url` leads.

    Args:
        url: As the client gave it.
        allow: Hosts that may be spoken to without TLS and at any port.

    Raises:
        InvalidUrlError: It cannot be a webhook's.
    """
    if len(url) > MAX_CHARACTERS:
        raise InvalidUrlError(f"must have at most {MAX_CHARACTERS} characters")
    if not _PLAIN.fullmatch(url) or not (match := _URL.fullmatch(url)):
        raise InvalidUrlError("must be https://host[:port][/path][?query], in ASCII, without user or fragment")
    host = _host(match["host"].lower())
    tls = match["scheme"].lower() == "https"
    port = int(match["port"]) if match["port"] else (443 if tls else 80)
    if not 1 <= port <= 65_535:
        raise InvalidUrlError("must have a port from 1 to 65535")
    if host not in allow:
        if not tls:
            raise InvalidUrlError("must begin with https://")
        if port != 443 and port < LOWEST_OTHER_PORT:
            raise InvalidUrlError(f"must have port 443, or one from {LOWEST_OTHER_PORT} on")
    return Target(tls=tls, host=host, port=port, path=(match["path"] or "/") + (match["query"] or ""))


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except AddressValueError:
            raise InvalidUrlError("must name its host by a valid address") from None
    labels = text.split(".")
    # What ends in a number is an address (to a browser even 0x7f.1 is one), and there is one way to write it.
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        try:
            return str(IPv4Address(text))
        except AddressValueError:
            raise InvalidUrlError("must write an IPv4 address as four decimal numbers") from None
    if len(text) > _HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidUrlError("must have a host name of letters, digits and hyphens (others as punycode)")
    return text
