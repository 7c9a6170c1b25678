"""The API answers at the root of the engine's address, and AWS services where they always do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from local.front_door import FrontDoor
from local.guard import Receive, Scope, Send
from local.instance import LocalInfo

ROOT = "/_aws/execute-api/abc/$default"
SIGNED = [(b"authorization", b"AWS4-HMAC-SHA256 Credential=test/20270101/us-east-1/pipes/aws4_request")]
BEARER = [(b"Authorization", b"Bearer flt_key")]


def info(api_id: str) -> LocalInfo:
    return LocalInfo("http://127.0.0.1:1", "operator", "tenant", "http://127.0.0.1:1", outputs={"ApiId": api_id})


def where(
    door_file: Path, path: str, headers: list[tuple[bytes, bytes]], kind: str = "http", query: bytes = b""
) -> tuple[str, bytes]:
    """The path under which a request reaches the engine."""
    seen: list[Scope] = []

    async def engine(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: object) -> dict[str, object]:
        return {}

    scope = {"type": kind, "path": path, "raw_path": path.encode(), "query_string": query, "headers": headers}
    asyncio.run(FrontDoor(engine, door_file)(scope, nothing, nothing))
    return seen[0]["path"], seen[0]["raw_path"]


@pytest.fixture
def door_file(tmp_path: Path) -> Path:
    path = tmp_path / "local.json"
    info("abc").save(path)
    return path


@pytest.mark.parametrize("headers", [[], BEARER])
@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks/tsk_1/events", "/healthz", "/nothing/there"])
def test_the_apis_paths_lead_to_the_api(door_file: Path, path: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert where(door_file, path, headers) == (ROOT + path, (ROOT + path).encode())


@pytest.mark.parametrize(
    "path", ["/_ministack/health", "/_flotilla/health", f"{ROOT}/v1/tasks", "/p/.well-known/jwks.json"]
)
def test_the_engines_own_paths_are_the_engines(door_file: Path, path: str) -> None:
    assert where(door_file, path, BEARER)[0] == path


def test_an_api_named_by_its_host_keeps_its_paths(door_file: Path) -> None:
    assert where(door_file, "/v1/tasks", [(b"Host", b"abc.execute-api.localhost:4566")])[0] == "/v1/tasks"


def test_an_unsigned_call_of_an_aws_service_reaches_none(door_file: Path) -> None:
    assert where(door_file, "/2015-03-31/functions", [])[0].startswith(ROOT)


def test_what_an_aws_client_signed_is_the_engines(door_file: Path) -> None:
    assert where(door_file, "/v1/pipes", SIGNED)[0] == "/v1/pipes"
    presigned = b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00ff"
    assert where(door_file, "/bucket/key", [], query=presigned)[0] == "/bucket/key"


def test_before_anything_is_deployed_there_is_no_api(tmp_path: Path) -> None:
    assert where(tmp_path / "local.json", "/v1/tasks", BEARER)[0] == "/v1/tasks"


def test_another_deployment_is_another_api(door_file: Path) -> None:
    paths: list[str] = []

    async def engine(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])

    async def nothing(*_: object) -> dict[str, object]:
        return {}

    async def twice() -> None:
        door = FrontDoor(engine, door_file)
        scope = {"type": "http", "path": "/healthz", "headers": []}
        await door(scope, nothing, nothing)
        info("def").save(door_file)
        await door(scope, nothing, nothing)

    asyncio.run(twice())
    assert paths == ["/_aws/execute-api/abc/$default/healthz", "/_aws/execute-api/def/$default/healthz"]
