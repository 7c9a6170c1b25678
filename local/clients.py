"""boto3 clients for the engine: dummy credentials, no proxy, and nothing of the user's AWS configuration.

They can reach nothing but the endpoint they are given, whatever profile or files the user's environment names.
"""

from __future__ import annotations

import os
from typing import Any

from local.instance import REGION

# In botocore's terms: no configuration key, no environment variable, this default.
_NO_PROFILE_OR_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def client(service: str, engine_url: str, *, read_timeout_seconds: float = 60.0, attempts: int = 3) -> Any:
    """A client of `service` at the engine.

    Args:
        service: boto3's name of the service.
        engine_url: The engine's endpoint.
        read_timeout_seconds: How long an answer may take.
        attempts: How often a call is tried in all; 1 where trying twice would do a thing twice.
    """
    import boto3
    import botocore.session
    from botocore.config import Config

    core = botocore.session.Session(session_vars=_NO_PROFILE_OR_FILES)
    session: Any = boto3.session.Session(botocore_session=core)
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
            use_fips_endpoint=False,
            use_dualstack_endpoint=False,
            s3={"addressing_style": "path"},
        ),
    )
