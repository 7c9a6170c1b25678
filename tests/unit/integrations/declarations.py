"""Integrations to test with, declared as fleet.toml declares them."""

from __future__ import annotations

import json

from flotilla.integrations.declaration import Integration, declared_in
from stacks.config import parse
from stacks.integration_settings import declared


def integrations(text: str) -> dict[str, Integration]:
    """What the functions know of the integrations of a `fleet.toml`."""
    return declared_in(json.dumps(declared(parse(text).integrations)))


def crm(more: str = "", *, base_url: str = "https://api.crm.example/v2") -> Integration:
    """One integration; `more` are further lines of its table."""
    return integrations(f'[integrations.crm]\nbase_url = "{base_url}"\n{more}')["crm"]
