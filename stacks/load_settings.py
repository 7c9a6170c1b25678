"""`[load.<lane>]` of `fleet.toml`: what is expected of a lane, for synth to check and for `flotilla plan`.

Nothing of it is deployed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from stacks.integration_settings import IntegrationName
from stacks.settings_section import Section

Amount = Annotated[float, Field(ge=0, le=1_000_000_000)]

Tokens = Annotated[int, Field(ge=0, le=100_000_000)]

TaskSeconds = Annotated[float, Field(gt=0, le=900)]


class Load(Section):
    """What is expected of one lane, evenly over time; of a load that comes and goes, its peak.

    Attributes:
        rate_per_minute: Tasks.
        seconds: That one of them takes, waiting included.
        slowest_seconds: That the slowest of a full batch takes; None: as the others.
        submit_batch: Tasks of one call of the API.
        tenants: That share them evenly.
        sessions: That have work at the same time; 0: tasks have no session.
        payload_bytes: Of an input, and as much of an output.
        model_calls: Of a task.
        model: Which of `[models]`; without a value the only one there is.
        call_seconds: Of a model call.
        input_tokens: Of a model call.
        output_tokens: Of a model call.
        integration_calls: Of a task, by integration.
        delayed_share: Of the tasks, how many are submitted for later.
        delay_seconds: How much later.
        tasks_per_run: Of the workflows that ask for the tasks; 0: clients submit them.
    """

    rate_per_minute: Annotated[float, Field(gt=0, le=1_000_000_000)]
    seconds: TaskSeconds
    slowest_seconds: TaskSeconds | None = None
    submit_batch: int = Field(default=1, ge=1, le=100)
    tenants: int = Field(default=1, ge=1, le=1_000_000)
    sessions: int = Field(default=0, ge=0, le=1_000_000_000)
    payload_bytes: int = Field(default=100, ge=0, le=40_960)
    model_calls: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    model: IntegrationName | None = None
    call_seconds: TaskSeconds = 2.0
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    integration_calls: Mapping[IntegrationName, Amount] = Field(default_factory=dict)
    delayed_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    delay_seconds: Amount = 0.0
    tasks_per_run: int = Field(default=0, ge=0, le=100_000)
