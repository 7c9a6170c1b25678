"""`[tenants]` of `fleet.toml`: the class of each tenant that has one. Metrics tell classes apart, but no tenants."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from stacks.settings_section import Section

TenantClass = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=32)]

_MOST_CLASSES = 10
_MOST_BYTES = 2048


class Tenant(Section):
    """One tenant.

    Attributes:
        class_: Its class; tenants that are not named are of the class `default`.
    """

    class_: TenantClass = Field(alias="class")


def mistakes(tenants: Mapping[str, Tenant]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with tenants that are each right by themselves: the key, and what is allowed."""
    classes = {tenant.class_ for tenant in tenants.values()}
    if len(classes) > _MOST_CLASSES:
        message = f"must be of at most {_MOST_CLASSES} classes, not {len(classes)}: metrics are paid for by each"
        yield ("tenants",), message
    if len(told(tenants)) > _MOST_BYTES:
        yield ("tenants",), f"are too many: a function's environment has room for {_MOST_BYTES} bytes of them"


def told(tenants: Mapping[str, Tenant]) -> str:
    """The class of each, as functions are told: JSON."""
    return json.dumps({name: tenants[name].class_ for name in sorted(tenants)}, separators=(",", ":"))
