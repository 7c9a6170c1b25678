"""boto3 clients for the engine, with dummy credentials and no proxy: they can reach nothing but loopback."""

from __future__ import annotations

from typing import Any

from local.instance import REGION


def client(service: str, engine_url: str, *, read_timeout_seconds: float = 60.0, attempts: int = 3) -> Any:
    """A client of `service` at the engine.

    Args:
        service: boto3's name of the service.
        engine_url: The engine's endpoint.
        read_timeout_seconds: How long an answer may take.
        attempts: How often a call is tried in all; 1 where trying twice would do a thing twice.
    """
    import boto3
    from botocore.config import Config

    session: Any = boto3.session.Session()
    return session.client(
        service,
        region_name=REGION,
        endpoint_url=engine_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            connect_timeout=5,
            read_timeout=read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=128,
            proxies={},
            s3={"addressing_style": "path"},
        ),
    )
