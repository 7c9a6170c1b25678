"""Which deployment to speak to, and with which key.

The environment wins over the local engine's file, and both of its variables must be there: a key is never sent to
another deployment than the one it was given with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

URL_VARIABLE = "FLOTILLA_API_URL"
KEY_VARIABLE = "FLOTILLA_API_KEY"

_LOCAL_FILE = Path(__file__).resolve().parent.parent / ".flotilla" / "local.json"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class NoConnectionError(Exception):
    """Nothing says which deployment to speak to; the message says how to."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A deployment and a key for it.

    Attributes:
        api_url: Where `/v1` begins, without a slash at the end.
        api_key: The raw key, of a tenant where there is a choice. Not shown where a connection is printed.
        operator_key: The raw key for what takes the scope `operate`; the same one where there is but one.
        from_environment: The environment named it; else it is the local engine.
    """

    api_url: str
    api_key: str
    operator_key: str
    from_environment: bool = False

    def __repr__(self) -> str:
        return f"Connection({self.api_url!r})"

    @property
    def on_this_machine(self) -> bool:
        """The deployment answers on loopback, where no proxy may come between."""
        host = urlsplit(self.api_url).hostname or ""
        return host in _LOOPBACK or host.endswith(".localhost")


def find_connection(environment: Mapping[str, str] | None = None, local_file: Path = _LOCAL_FILE) -> Connection:
    """The deployment that `FLOTILLA_API_URL` and `FLOTILLA_API_KEY` name, else the local engine.

    Raises:
        NoConnectionError: Neither is there, or one that is there is of no use.
    """
    environment = os.environ if environment is None else environment
    url, key = environment.get(URL_VARIABLE, ""), environment.get(KEY_VARIABLE, "")
    if url and key:
        return Connection(_checked(url, URL_VARIABLE), key, key, from_environment=True)
    if url or key:
        missing = KEY_VARIABLE if url else URL_VARIABLE
        raise NoConnectionError(f"{missing} is not set: a deployment and its key go together")
    try:
        record = json.loads(local_file.read_text(encoding="utf-8"))
        return Connection(_checked(record["api_url"], str(local_file)), record["tenant_key"], record["operator_key"])
    except FileNotFoundError:
        raise NoConnectionError(
            f"no deployment: start the local one with `make up`, or set {URL_VARIABLE} and {KEY_VARIABLE}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoConnectionError(f"{local_file} cannot be used ({type(error).__name__}): run `make up`") from error


def _checked(url: str, where: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NoConnectionError(f"{where} holds no http(s) URL")
    return url.rstrip("/")
