"""The manifest as workers and the API read it, and the loading of what it names."""

from __future__ import annotations

import json
import string
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.agents.decorator import definition_of
from flotilla.agents.loader import AgentLoader
from flotilla.errors import ParkedError, UnknownAgentError
from tests.unit.services import sample_agents

NAMES = st.text(string.ascii_lowercase + ".", min_size=1, max_size=12)
SCHEMAS = st.fixed_dictionaries({"type": st.sampled_from(["object", "string"])})
SPECS = st.builds(
    AgentSpec,
    name=NAMES,
    version=st.text(max_size=5),
    module=NAMES,
    function=NAMES,
    is_async=st.booleans(),
    lane=st.none() | NAMES,
    timeout_seconds=st.floats(0.1, 900),
    max_attempts=st.integers(1, 20),
    backoff_base_seconds=st.floats(0, 10),
    backoff_cap_seconds=st.floats(0, 1000),
    integrations=st.lists(NAMES, max_size=3).map(tuple),
    cache_ttl_seconds=st.none() | st.integers(1, 10**6),
    input_schema=SCHEMAS,
    output_schema=SCHEMAS,
    on_open=st.sampled_from(["park", "reject"]),
    errors=st.lists(NAMES, max_size=3).map(tuple),
)


def manifest(specs: list[AgentSpec]) -> str:
    return json.dumps({"agents": {spec.name: spec.to_json() for spec in specs}})


@given(st.lists(SPECS, max_size=4, unique_by=lambda spec: spec.name))
def test_a_catalog_reads_back_what_the_manifest_says(specs: list[AgentSpec]) -> None:
    catalog = Catalog.from_json(manifest(specs))
    assert list(catalog) == sorted(specs, key=lambda spec: spec.name)
    for spec in specs:
        assert spec.name in catalog
        assert catalog.get(spec.name) == spec


@given(SPECS)
def test_members_of_a_later_version_are_ignored(spec: AgentSpec) -> None:
    value = json.loads(manifest([spec]))
    value["later"] = 1
    value["agents"][spec.name]["later"] = {"a": 1}
    assert Catalog.from_json(json.dumps(value)).get(spec.name) == spec


@given(SPECS)
def test_a_manifest_of_an_earlier_version_parks_what_meets_a_dependency_that_is_down(spec: AgentSpec) -> None:
    value = json.loads(manifest([spec]))
    del value["agents"][spec.name]["on_open"]
    assert Catalog.from_json(json.dumps(value)).get(spec.name).on_open == "park"


@given(SPECS)
def test_a_manifest_of_an_earlier_version_declares_no_errors(spec: AgentSpec) -> None:
    value = json.loads(manifest([spec]))
    del value["agents"][spec.name]["errors"]
    assert Catalog.from_json(json.dumps(value)).get(spec.name).errors == ()


def test_an_agent_that_is_not_there_is_unknown() -> None:
    catalog = Catalog({})
    assert "test.none" not in catalog
    with pytest.raises(UnknownAgentError):
        catalog.get("test.none")


SAMPLE = definition_of(sample_agents.echo).spec()


def spec_of(module: str, function: str, name: str = "test.broken") -> AgentSpec:
    return AgentSpec.from_json(SAMPLE.to_json() | {"name": name, "module": module, "function": function})


def test_an_agent_is_loaded_once_and_kept() -> None:
    loader = AgentLoader()
    assert loader.loaded(SAMPLE) is None
    found = loader.load(SAMPLE)
    assert found is definition_of(sample_agents.echo)
    assert loader.loaded(SAMPLE) is loader.load(SAMPLE) is found


BROKEN = {
    "no_such_module": None,
    "raises": "raise KeyError('secret-word')",
    "bad_syntax": "def (",
    "empty": "",
    "not_an_agent": "def run(task, ctx): ...",
    "exits": "import sys; sys.exit(3)",
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_code_that_cannot_be_loaded_is_for_a_later_release_to_mend(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = BROKEN[case]
    name = f"broken_agent_{case}"
    if source is not None:
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    spec = spec_of(name, "run")
    with pytest.raises(ParkedError) as raised:
        AgentLoader().load(spec)
    assert raised.value.code == "agent_not_loadable"
    assert "secret-word" not in raised.value.message
    sys.modules.pop(name, None)
