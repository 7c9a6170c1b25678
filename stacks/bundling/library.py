"""The layer of Flotilla's own library, with the manifest of all agents, the integrations, models and workflows in it.

In the layer and not in the functions' environment: all of a function's variables together have 4 KB.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stacks import budget_settings, definitions, limit_settings, model_settings
from stacks.bundling.bytecode import compile_all
from stacks.bundling.cache import built, content_of, digest, sources_in
from stacks.bundling.process import run_python
from stacks.bundling.target import Target
from stacks.definitions import Definition
from stacks.integration_settings import declared
from stacks.settings_model import Fleet

_SOURCE = Path("layers", "flotilla", "python")
_MANIFEST = Path("python", "flotilla", "agents", "manifest.json")
_LIMITS = Path("python", "flotilla", "limits", "declared.json")
_INTEGRATIONS = Path("python", "flotilla", "integrations", "declared.json")
_BUDGETS = Path("python", "flotilla", "budgets.json")
_MODELS = Path("python", "flotilla", "llm", "declared.json")
_WORKFLOWS = Path("python", "flotilla", "workflows", "declared.json")


def library_layer(
    repository: Path,
    fleet: Fleet,
    target: Target,
    agents: Path,
    workflows: Mapping[str, Definition],
    build_root: Path,
) -> Path:
    """The directory of the layer, `python/` in it.

    Args:
        repository: Its root.
        fleet: Says which agents there are and what is overridden of them.
        target: Whose interpreter the modules are compiled for.
        agents: The worker's package, as it will be deployed.
        workflows: Their definitions.
        build_root: Where builds are kept.

    Raises:
        BundlingError: A module does not compile, or an agent or an override is wrong.
    """
    source = repository / _SOURCE
    overrides = json.dumps(
        {name: agent.model_dump(exclude_none=True, exclude={"limit"}) for name, agent in fleet.agents.items()},
        sort_keys=True,
    )
    integrations = json.dumps(declared(fleet.integrations), indent=1, sort_keys=True)
    models = json.dumps(model_settings.declared(fleet.models, fleet.routes), indent=1, sort_keys=True)
    limits = json.dumps(limit_settings.declared(fleet.limits, fleet.agents), indent=1, sort_keys=True)
    budgets = json.dumps(budget_settings.declared(fleet.budgets), indent=1, sort_keys=True)
    deployed = json.dumps(definitions.declared(workflows), indent=1)
    key = digest(
        [
            target.python,
            overrides,
            limits,
            integrations,
            models,
            budgets,
            deployed,
            str(fleet.diagnostics),
            # The schemas in the manifest are pydantic's work.
            (repository / "layers" / "dependencies" / "requirements.txt").read_bytes(),
            *content_of(source, sources_in(source)),
            *content_of(agents, sources_in(agents)),
            *content_of(Path(__file__).parent, sources_in(Path(__file__).parent)),
        ]
    )

    def make(directory: Path) -> None:
        copy_sources(source, directory / "python", sources_in(source))
        _write_manifest(repository, directory / _MANIFEST, overrides, diagnostics=fleet.diagnostics)
        (directory / _LIMITS).write_text(limits, encoding="utf-8")
        (directory / _INTEGRATIONS).write_text(integrations, encoding="utf-8")
        (directory / _MODELS).write_text(models, encoding="utf-8")
        (directory / _BUDGETS).write_text(budgets, encoding="utf-8")
        (directory / _WORKFLOWS).write_text(deployed, encoding="utf-8")
        compile_all(directory, "/opt")

    return built(build_root / "layers" / f"flotilla-{target.name}", key, make)


def manifest_in(layer: Path) -> dict[str, Any]:
    """The manifest a layer was built with."""
    manifest: dict[str, Any] = json.loads((layer / _MANIFEST).read_text(encoding="utf-8"))
    return manifest


def copy_sources(root: Path, destination: Path, files: Iterable[Path]) -> None:
    """Copies `files`, which lie under `root`, to the same places under `destination`."""
    for path in files:
        copy = destination / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _write_manifest(repository: Path, out: Path, overrides: str, *, diagnostics: bool) -> None:
    arguments = ["-m", "flotilla.agents.manifest", str(repository), str(out), "--overrides", overrides]
    if diagnostics:
        arguments.append("--diagnostics")
    search_path = os.pathsep.join([str(repository / _SOURCE), str(repository)])
    run_python("collecting the agents", arguments, {"PYTHONPATH": search_path})
