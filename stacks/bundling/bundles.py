"""All that is built for one deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stacks.bundling.dependencies import dependencies_layer
from stacks.bundling.functions import function_names, function_package
from stacks.bundling.library import library_layer, manifest_in
from stacks.bundling.process import BundlingError
from stacks.bundling.target import Target, target_of
from stacks.config import ConfigError
from stacks.definitions import Definition
from stacks.local_differences import Place
from stacks.settings_model import Fleet
from stacks.settings_rules import agent_problems
from stacks.workflow_definitions import workflow_problems


@dataclass(frozen=True)
class Bundles:
    """Directories ready to be uploaded.

    Attributes:
        target: What they were built for.
        dependencies: The layer of third-party packages.
        library: The layer of Flotilla's own library.
        functions: Each function's package, by its name.
        manifest: The agents that are deployed, as the library layer holds them.
        workflows: The definitions of the workflows that are, by name.
    """

    target: Target
    dependencies: Path
    library: Path
    functions: Mapping[str, Path]
    manifest: Mapping[str, Any]
    workflows: Mapping[str, Definition] = field(default_factory=dict)

    def function(self, package: str) -> Path:
        """The built package of that name.

        Raises:
            BundlingError: There is no such function.
        """
        if package not in self.functions:
            raise BundlingError(f"functions/{package}/handler.py is missing")
        return self.functions[package]


def make_bundles(
    fleet: Fleet, place: Place, repository: Path, workflows: Mapping[str, Definition] = MappingProxyType({})
) -> Bundles:
    """Builds what is not built yet.

    Args:
        fleet: The settings.
        place: Where it will be deployed.
        repository: Its root.
        workflows: The definitions of the fleet's workflows.

    Raises:
        BundlingError: Something could not be built.
        ConfigError: An agent does not fit the lane it runs on, a workflow asks for one that is not there, or this
            interpreter cannot build for the runtime.
    """
    target = target_of(fleet.runtime, place)
    build_root = repository / ".build"
    requirements = repository / "layers" / "dependencies" / "requirements.txt"
    functions = {
        name: function_package(repository, name, target, build_root, diagnostics=fleet.diagnostics)
        for name in function_names(repository)
    }
    library = library_layer(repository, fleet, target, repository / "functions" / "worker", workflows, build_root)
    manifest = manifest_in(library)
    problems = [*agent_problems(fleet, manifest), *workflow_problems(fleet, workflows, manifest)]
    if problems:
        raise ConfigError("fleet.toml, with the agents that are there,", problems)
    return Bundles(
        target=target,
        dependencies=dependencies_layer(requirements, target, fleet.runtime.aws_services, build_root),
        library=library,
        functions=functions,
        manifest=manifest,
        workflows=workflows,
    )
