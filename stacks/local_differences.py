"""All that differs between the app on AWS and on the embedded engine, each with its reason.

Nothing else in `stacks/` asks where it will be deployed. What the settings themselves say differently is `[local]`
of `fleet.toml` and the defaults beside it (`stacks.config`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from constructs import Node

from stacks.model_settings import ModelServer

LOCAL_CONTEXT_KEY = "local"
"""`cdk synth -c local=true` synthesizes for the embedded engine."""

MODEL_URL_CONTEXT_KEY = "model_url"
MODEL_CONTEXT_KEY = "model"
"""There, where all models are served from, and what that server calls its model."""


@dataclass(frozen=True)
class Place:
    """Where the app is deployed.

    Attributes:
        local: On the embedded engine: the settings are those of `[local]`, laid over the rest.
        builds_for_host: The layers hold this machine's wheels. The engine runs functions with its own interpreter
            on this machine, whatever their runtime and architecture say.
        keeps_data: Tables and bucket are protected from deletion and outlive their stack. The engine's state is
            forgotten on purpose, by `make clean`.
        knows_addresses: The API's address is that of its resource. The engine serves it at its own, on a port that is
            its own and in no template: it tells functions by its environment (`local.environment`).
        has_all_of_cloudwatch: It knows alarms on metric math, composite alarms, and saved queries of logs. The engine
            refuses the first and fails on the others.
        model_server: Serves all models in the place of their own providers, which the engine only imitates.
    """

    local: bool
    builds_for_host: bool
    keeps_data: bool
    knows_addresses: bool
    has_all_of_cloudwatch: bool
    model_server: ModelServer | None = None

    @classmethod
    def of(cls, node: Node) -> Place:
        """The place the context asks for."""
        local = node.try_get_context(LOCAL_CONTEXT_KEY)
        if local not in (True, "true", "1"):
            return AWS
        url = node.try_get_context(MODEL_URL_CONTEXT_KEY)
        if not url:
            return EMBEDDED_ENGINE
        return replace(EMBEDDED_ENGINE, model_server=ModelServer(url, node.try_get_context(MODEL_CONTEXT_KEY)))


AWS = Place(local=False, builds_for_host=False, keeps_data=True, knows_addresses=True, has_all_of_cloudwatch=True)
EMBEDDED_ENGINE = Place(
    local=True, builds_for_host=True, keeps_data=False, knows_addresses=False, has_all_of_cloudwatch=False
)
