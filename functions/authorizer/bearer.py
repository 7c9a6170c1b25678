"""Reads the API key out of a request, whatever else is in there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MAX_CHARACTERS = 512
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/\-]{1,256}=*)", re.IGNORECASE)


class MalformedAuthorizationError(ValueError):
    """There is an `Authorization` header, and no key can be read from it."""


def api_key(event: Mapping[str, Any]) -> str | None:
    """The raw key of API Gateway's authorizer event; None where the request has none.

    Raises:
        MalformedAuthorizationError: The header is there and holds no bearer token.
    """
    for name, value in (event.get("headers") or {}).items():
        if name.lower() == "authorization" and value.strip():
            match = _BEARER.fullmatch(value.strip()) if len(value) <= _MAX_CHARACTERS else None
            if match is None:
                raise MalformedAuthorizationError
            return match[1]
    return None
