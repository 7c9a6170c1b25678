"""The contract of `Secrets`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from flotilla.errors import ParkedError
from flotilla.integration_ports import Secrets


class SecretsContract:
    """Provide fixtures `secrets`, empty, and `put`, which stores or changes one."""

    def test_what_is_read_is_what_it_is_now(self, secrets: Secrets, put: Callable[[str, str], None]) -> None:
        put("crm/token", "größe \U0001f680")
        put("crm/other", "x")
        assert asyncio.run(secrets.read("crm/token")) == "größe \U0001f680"
        put("crm/token", "rotated")
        assert asyncio.run(secrets.read("crm/token")) == "rotated"
        assert asyncio.run(secrets.read("crm/other")) == "x"

    def test_work_waits_for_one_that_is_not_there(self, secrets: Secrets, put: Callable[[str, str], None]) -> None:
        put("crm/token", "x")
        with pytest.raises(ParkedError) as missing:
            asyncio.run(secrets.read("crm"))
        assert missing.value.code == "integration_secret"
