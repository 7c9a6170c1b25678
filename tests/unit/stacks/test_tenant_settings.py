"""Tenants' classes, as an operator writes them, and as functions are told."""

from __future__ import annotations

import json

import pytest

from stacks.config import ConfigError, parse
from stacks.tenant_settings import told


def test_classes_are_told_by_tenant() -> None:
    fleet = parse('[tenants."b inc."]\nclass = "gold"\n[tenants.acme]\nclass = "silver"')
    assert told(fleet.tenants) == '{"acme":"silver","b inc.":"gold"}'
    assert json.loads(told(parse("").tenants)) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tenants.acme]\nkind = 1", "line 2: tenants.acme.kind: unknown key; allowed: class"),
        ("[tenants.acme]", "tenants.acme.class: is missing; needed: a text"),
        ('[tenants.acme]\nclass = "Gold"', "line 2: tenants.acme.class: 'Gold' is not allowed; allowed: the name of a"),
        ("[tenants]\nacme = 5", "line 2: tenants.acme: 5 is not allowed; allowed: a table"),
        (
            "\n".join(f'[tenants.t{number}]\nclass = "c{number}"' for number in range(11)),
            "tenants: must be of at most 10 classes, not 11: metrics are paid for by each",
        ),
        (
            "\n".join(f'[tenants.tenant-of-some-length-{number}]\nclass = "gold"' for number in range(100)),
            "tenants: are too many: a function's environment has room for 2048 bytes of them",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    assert message in str(refusal.value)
