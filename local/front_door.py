"""Puts the deployed HTTP API at the root of the engine's address, where an API has it on AWS.

The engine serves it below `/_aws/execute-api/<id>/$default`. A `Location` or a link of the API begins at the root, as
it must on AWS; without this it would lead nowhere here. What AWS clients send is signed, in a header or in the query,
and passes untouched; so what is not signed reaches the API and no other service.
"""

from __future__ import annotations

from pathlib import Path

from local.guard import App, Receive, Scope, Send
from local.instance import LocalInfo

_SIGNED_HEADER = b"AWS4-"
_SIGNED_QUERY = b"X-Amz-Signature="
_OF_THE_ENGINE = "/_"
_OF_ITS_ISSUERS = "/.well-known/"
_HTTP_API_HOST = b".execute-api."


class FrontDoor:
    """ASGI middleware: leads the API's own paths to the API.

    Args:
        app: The engine, with all that stands before it.
        info_file: An instance's `local.json`, which names the API once it is deployed.
    """

    def __init__(self, app: App, info_file: Path) -> None:
        self._app = app
        self._info_file = info_file
        self._read_at_ns = 0
        self._root: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, under the path that the engine knows."""
        root = self._api_root() if scope["type"] == "http" and _is_for_the_api(scope) else None
        if root is not None:
            raw_path = scope.get("raw_path") or str(scope["path"]).encode()
            scope = {**scope, "path": root + str(scope["path"]), "raw_path": root.encode() + bytes(raw_path)}
        await self._app(scope, receive, send)

    def _api_root(self) -> str | None:
        try:
            changed_at_ns = self._info_file.stat().st_mtime_ns
        except OSError:
            return None
        if changed_at_ns != self._read_at_ns:
            info = LocalInfo.load(self._info_file)
            api_id = info.outputs.get("ApiId") if info else None
            self._root = f"/_aws/execute-api/{api_id}/$default" if api_id else None
            self._read_at_ns = changed_at_ns
        return self._root


def _is_for_the_api(scope: Scope) -> bool:
    path = str(scope["path"])
    if path.startswith(_OF_THE_ENGINE) or _OF_ITS_ISSUERS in path:
        return False
    if _SIGNED_QUERY in bytes(scope.get("query_string", b"")):
        return False
    headers = {name.lower(): bytes(value) for name, value in scope["headers"]}
    if headers.get(b"authorization", b"").startswith(_SIGNED_HEADER):
        return False
    return _HTTP_API_HOST not in headers.get(b"host", b"")
