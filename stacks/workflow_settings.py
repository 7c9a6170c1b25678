"""`[workflows]` of `fleet.toml`: each workflow's name, and the file in `statemachines/` that defines it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

LONGEST_NAME = 48

# "<fleet>-<workflow>" is the state machine's name, of at most 80 characters.
WorkflowName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=LONGEST_NAME)]

DefinitionFile = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.asl\.json$", max_length=128)]
"""A file in `statemachines/`."""
