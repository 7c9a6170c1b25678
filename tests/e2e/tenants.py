"""Tenants of a test's own, of whom no function knows anything yet."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from flotilla.clock import SystemClock
from local.keys import KeyHolder, ensure_key
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient

SCOPES = ("tasks:write", "tasks:read", "operate")


@contextmanager
def new_tenant(engine: Engine, name: str | None = None) -> Iterator[FleetClient]:
    """A client with the key of a tenant that was never heard of, or of the one of that name."""
    key = ensure_key(
        KeyHolder(name or f"tenant-{uuid.uuid4().hex[:12]}", SCOPES),
        current=None,
        engine_url=engine.info.engine_url,
        control_table=engine.info.outputs["ControlTable"],
        now_ms=SystemClock().now_ms(),
    )
    client = FleetClient(engine.info.api_url, key)
    with client.http:
        yield client
