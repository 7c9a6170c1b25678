"""Routes to test with, declared as fleet.toml declares them."""

from __future__ import annotations

import json

from flotilla.llm.declaration import Route, routes_in
from stacks.config import parse
from stacks.model_settings import declared

MODELS = """
[models.large]
id = "vendor.large"
quality = "high"
context_tokens = 1000
price = { input_usd = 10, output_usd = 50, cached_input_usd = 1 }

[models.medium]
id = "vendor.medium"
context_tokens = 5000
price = { input_usd = 1, output_usd = 5 }

[models.small]
id = "vendor.small"
quality = "low"
price = { input_usd = 0.1, output_usd = 0.5 }

[routes.best]
models = ["large", "medium", "small"]
timeout_seconds = 20

[routes.good]
models = ["medium", "large", "small"]
min_quality = "medium"

[routes.alone]
models = ["medium"]
rounds = 1
"""


def routes(text: str = MODELS) -> dict[str, Route]:
    """What the functions know of the routes of a `fleet.toml`."""
    fleet = parse(text)
    return routes_in(json.dumps(declared(fleet.models, fleet.routes)))
