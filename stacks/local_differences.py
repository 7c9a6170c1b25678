"""All that differs between the app on AWS and on the embedded engine, each with its reason.

Nothing else in `stacks/` asks where it will be deployed. What the settings themselves say differently is `[local]`
of `fleet.toml` and the defaults beside it (`stacks.config`).
"""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Node

LOCAL_CONTEXT_KEY = "local"
"""`cdk synth -c local=true` synthesizes for the embedded engine."""


@dataclass(frozen=True)
class Place:
    """Where the app is deployed.

    Attributes:
        local: On the embedded engine: the settings are those of `[local]`, laid over the rest.
        builds_for_host: The layers hold this machine's wheels. The engine runs functions with its own interpreter
            on this machine, whatever their runtime and architecture say.
        keeps_data: Tables and bucket are protected from deletion and outlive their stack. The engine's state is
            forgotten on purpose, by `make clean`.
    """

    local: bool
    builds_for_host: bool
    keeps_data: bool

    @classmethod
    def of(cls, node: Node) -> Place:
        """The place the context asks for."""
        local = node.try_get_context(LOCAL_CONTEXT_KEY)
        return EMBEDDED_ENGINE if local in (True, "true", "1") else AWS


AWS = Place(local=False, builds_for_host=False, keeps_data=True)
EMBEDDED_ENGINE = Place(local=True, builds_for_host=True, keeps_data=False)
