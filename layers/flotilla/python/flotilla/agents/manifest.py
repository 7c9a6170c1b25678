"""Makes the manifest of agents: `python -m flotilla.agents.manifest ROOT OUT [--diagnostics] [--overrides JSON]`.

Runs at synth, in a process of its own: it is the one place that imports every agent.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from flotilla.agents.catalog import BUILT_IN, AgentSpec
from flotilla.agents.decorator import definition_of

_AGENTS_PACKAGE = "functions.worker.agents"
_CANARY_MODULE = "functions.worker.canary"
_DIAGNOSTICS_MODULE = "functions.worker.diagnostics"
_OVERRIDABLE = frozenset({"lane", "timeout_seconds", "max_attempts", "integrations", "on_open", "routes", "budget_usd"})


def _modules(root: Path, diagnostics: bool) -> list[ModuleType]:
    folder = root.joinpath(*_AGENTS_PACKAGE.split("."))
    names = [f"{_AGENTS_PACKAGE}.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    if root.joinpath(*_CANARY_MODULE.split(".")).with_suffix(".py").is_file():
        names.append(_CANARY_MODULE)
    if diagnostics:
        names.append(_DIAGNOSTICS_MODULE)
    return [import_module(name) for name in names]


def collect(root: Path, *, diagnostics: bool, overrides: dict[str, dict[str, Any]]) -> dict[str, AgentSpec]:
    """Every agent under `root`, with the operator's overrides applied.

    Raises:
        ValueError: Two agents share a name, one cannot be found by its function's name, or an override
            names no agent or nothing that can be overridden.
    """
    agents: dict[str, AgentSpec] = {}
    for module in _modules(root, diagnostics):
        found = {id(value): definition_of(value) for value in vars(module).values()}
        for definition in found.values():
            if definition is None or definition.function.__module__ != module.__name__:
                continue
            function = definition.function.__name__
            if getattr(module, function, None) is not definition.function:
                raise ValueError(f"agent {definition.name!r}: a worker would look for {module.__name__}.{function}")
            if definition.name.startswith(BUILT_IN) and module.__name__ != _CANARY_MODULE:
                raise ValueError(f"agent {definition.name!r}: names that begin with {BUILT_IN!r} are the fleet's own")
            if definition.name in agents:
                raise ValueError(f"two agents are named {definition.name!r}")
            agents[definition.name] = definition.spec()
    for name, changes in overrides.items():
        if name not in agents:
            raise ValueError(f'fleet.toml: [agents."{name}"] names no agent; there are: {", ".join(sorted(agents))}')
        unknown = set(changes) - _OVERRIDABLE
        if unknown:
            raise ValueError(f'fleet.toml: [agents."{name}"] cannot set {", ".join(sorted(unknown))}')
        named: dict[str, Any] = {key: tuple(changes[key]) for key in ("integrations", "routes") if key in changes}
        agents[name] = dataclasses.replace(agents[name], **(changes | named))
    return agents


def main(arguments: list[str]) -> int:
    """Write the manifest; 1 and one line on stderr where an agent or an override is wrong."""
    parser = argparse.ArgumentParser(prog="flotilla.agents.manifest")
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--diagnostics", action="store_true")
    parser.add_argument("--overrides", type=json.loads, default={})
    options = parser.parse_args(arguments)
    try:
        agents = collect(options.root, diagnostics=options.diagnostics, overrides=options.overrides)
    except (ValueError, TypeError, ImportError) as error:
        sys.stderr.write(f"manifest: {error}\n")
        return 1
    manifest = {"agents": {name: agents[name].to_json() for name in sorted(agents)}}
    options.out.write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
