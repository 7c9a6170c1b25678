"""The synthesized stacks, ready for `Match` assertions."""

from __future__ import annotations

import pytest

import stacks  # noqa: F401  says which Node the CDK library runs, before it is imported

# isort: split
from aws_cdk.assertions import Template

from tests.synthesis import Templates


@pytest.fixture(scope="session")
def state(templates: Templates) -> Template:
    return Template.from_json(templates["flotilla-state"])


@pytest.fixture(scope="session")
def lanes(templates: Templates) -> Template:
    return Template.from_json(templates["flotilla-lanes"])


@pytest.fixture(scope="session")
def workers(templates: Templates) -> Template:
    return Template.from_json(templates["flotilla-workers"])


@pytest.fixture(scope="session")
def api(templates: Templates) -> Template:
    return Template.from_json(templates["flotilla-api"])


@pytest.fixture(scope="session")
def workflows(templates: Templates) -> Template:
    return Template.from_json(templates["flotilla-workflows"])


@pytest.fixture(scope="session")
def dispatch(templates: Templates) -> Template:
    return Template.from_json(templates["flotilla-dispatch"])


@pytest.fixture(scope="session")
def followers(templates: Templates) -> Template:
    return Template.from_json(templates["flotilla-followers"])
