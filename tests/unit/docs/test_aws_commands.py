"""AWS commands that the documents show exist, with the options that are given to them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from tests.unit.docs.markdown import REPOSITORY, blocks, documents

_SERVICES = {"s3"}
"""Commands that are the AWS CLI's own and no operation of a service."""

_OWN = {("logs", "tail"): {"since", "filter-pattern", "follow", "format"}}
"""The same of single commands, with their options."""

_RENAMED = {("sns", "subscribe"): {"notification-endpoint": "endpoint"}}
"""Options that the AWS CLI calls otherwise than the service does, as its own has the name."""

_GLOBAL = {"cli-binary-format", "query", "output", "endpoint-url", "region", "profile", "max-items", "no-paginate"}


def commands(path: Path) -> list[list[str]]:
    """Every `aws` command of the document, as words."""
    texts = [re.sub(r"\\\n\s*", " ", code) for code in blocks(path, "bash")]
    # To the end of its line, or of what is quoted there.
    shown = [
        found for text in texts for found in re.findall(r"""^aws (?:'[^']*'|"[^"]*"|[^\n'"])*""", text, re.MULTILINE)
    ]
    return [shlex.split(each, comments=True)[1:] for each in shown]


SHOWN = [(path, words) for path in documents() for words in commands(path)]


@pytest.mark.parametrize(
    ("path", "words"), SHOWN, ids=[f"{path.relative_to(REPOSITORY)}: {' '.join(words[:2])}" for path, words in SHOWN]
)
def test_an_aws_command_that_is_shown_can_be_typed(path: Path, words: list[str]) -> None:
    service, operation = words[:2]
    if service in _SERVICES:
        return
    options = {word[2:].partition("=")[0] for word in words[2:] if word.startswith("--")} - _GLOBAL
    renamed = _RENAMED.get((service, operation), {})
    options = {renamed.get(each, each) for each in options}
    if (service, operation) in _OWN:
        assert options <= _OWN[service, operation]
        return
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names, f"{service} {operation}"
    shape = model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-") for name in (shape.members if shape else {})}
    flags = {f"no-{name}" for name in members}
    assert options <= members | flags, options - members
    required = {xform_name(name, "-") for name in (shape.required_members if shape else [])}
    assert required <= options | {name for name in required if f"no-{name}" in options}, required - options


def test_there_are_some_in_the_runbooks() -> None:
    assert len([path for path, _ in SHOWN if "operations" in path.parts]) > 10
