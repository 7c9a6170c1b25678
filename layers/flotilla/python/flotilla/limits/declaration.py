"""Limits on submits as they were declared: what `fleet.toml` says, in the form that was shipped with this layer.

    client           each API key
    tenant           each tenant
    agent#<name>     an agent, by all clients together

Those of integrations and models are declared with them.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flotilla.primitives.token_bucket import Limit

_FILE = "declared.json"


def declared_in(text: str) -> dict[str, Limit]:
    """Read a file of declarations: the limits by name."""
    found = json.loads(text)["limits"]
    if not found:
        return {}
    from flotilla.primitives.token_bucket import Limit

    return {name: Limit(value["rate_per_minute"], value["burst"]) for name, value in found.items()}


def deployed() -> dict[str, Limit]:
    """The limits that were shipped with this layer; none where it was built without."""
    file = resources.files("flotilla.limits").joinpath(_FILE)
    return declared_in(file.read_text("utf-8")) if file.is_file() else {}
