"""What others ask for a million durable tasks: list prices of November 2026, a range where it depends on the plan.

Of each the orchestration of one task that is recorded, retried and has a result; the agent's own time is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Alternative:
    """One.

    Attributes:
        name: Of the product.
        least_usd: For a million tasks.
        most_usd: The same, at the most.
        beside: What comes on top.
    """

    name: str
    least_usd: float
    most_usd: float
    beside: str


ALTERNATIVES: Final = (
    Alternative("Lambda durable functions", 16.5, 16.5, "Lambda's requests and time"),
    Alternative("Trigger.dev", 26.0, 26.0, "the time of its machines"),
    Alternative("Bedrock AgentCore", 26.0, 38.0, "the time of its runtime"),
    Alternative("Inngest", 50.0, 50.0, "the functions that it calls"),
    Alternative("Temporal Cloud", 57.0, 110.0, "the workers"),
    Alternative("Step Functions Standard", 75.0, 125.0, "the functions that it calls"),
)
