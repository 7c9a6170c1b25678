"""Logs, traces and classes of tenants are what the settings say."""

from __future__ import annotations

import pytest

from tests.infra.test_functions import environment
from tests.infra.test_workflows import allowed, machines
from tests.synthesis import REPOSITORY, Templates, synthesize

CHANGES = {
    "tracing = false": "tracing = true",
    "debug_share = 0.0": "debug_share = 0.25",
    "trace_share = 0.0": "trace_share = 0.5",
    '# [tenants."acme"]\n# class': '[tenants."acme"]\nclass',
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder = tmp_path_factory.mktemp("watched")
    text = (REPOSITORY / "fleet.toml").read_text(encoding="utf-8")
    for shipped, changed in CHANGES.items():
        assert shipped in text
        text = text.replace(shipped, changed)
    settings = folder / "fleet.toml"
    settings.write_text(text, encoding="utf-8")
    return Templates(synthesize(folder / "assembly", settings=settings))


def levels(templates: Templates) -> set[str]:
    functions = templates.resources("AWS::Lambda::Function")
    return {each.properties["LoggingConfig"]["ApplicationLogLevel"] for each in functions}


def test_tracing_is_what_the_settings_say(templates: Templates, watched: Templates) -> None:
    assert all(machine["TracingConfiguration"] == {"Enabled": False} for machine in machines(templates).values())
    assert all(machine["TracingConfiguration"] == {"Enabled": True} for machine in machines(watched).values())
    assert ("xray:PutTraceSegments", "*") in allowed(watched, "saga")


def test_where_some_invocations_say_more_lambda_lets_it_pass_and_the_rest_say_as_much_as_before(
    templates: Templates, watched: Templates
) -> None:
    assert (levels(templates), levels(watched)) == ({"INFO"}, {"DEBUG"})
    for function in watched.resources("AWS::Lambda::Function"):
        told = environment(watched, function.properties["FunctionName"])
        assert (told["POWERTOOLS_LOG_LEVEL"], told["FLOTILLA_DEBUG_SHARE"]) == ("INFO", "0.25")


def test_classes_and_shares_are_told_to_who_needs_them(templates: Templates, watched: Templates) -> None:
    assert environment(watched, "flotilla-projector")["FLOTILLA_TENANT_CLASSES"] == '{"acme":"gold"}'
    assert environment(watched, "flotilla-api")["FLOTILLA_TRACE_SHARE"] == "0.5"
    assert environment(templates, "flotilla-projector")["FLOTILLA_TENANT_CLASSES"] == "{}"
    assert "FLOTILLA_TRACE_SHARE" not in environment(templates, "flotilla-api")
