"""What the laptop exposes while the engine runs: loopback only, and nothing to a web page."""

from __future__ import annotations

import httpx
import psutil
import pytest

from tests.e2e.engine import Engine


def test_every_listener_is_on_loopback(engine: Engine) -> None:
    ours = [psutil.Process(pid) for pid in engine.process_ids()]
    family = {process for parent in ours for process in (parent, *parent.children(recursive=True))}
    listeners = {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listeners == {"127.0.0.1"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_web_page_cannot_reach_the_engine(engine: Engine, headers: dict[str, str]) -> None:
    for path in ("/", "/_ministack/health", "/2015-03-31/functions"):
        answer = httpx.post(engine.info.engine_url + path, headers=headers, content=b"{}")
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
