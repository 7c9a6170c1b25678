"""What is uploaded: layers for Lambda's platform, compiled, with nothing in them that is not needed there."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks.bundling.dependencies import AWS_SERVICES
from tests.synthesis import REPOSITORY, Templates

_ELF_MACHINES = {183: "arm64", 62: "x86_64"}

_UNCHECKED_HASH = 1
"""A compiled file's flags: it has a hash of its source, which is not looked at."""


def assets(templates: Templates, kind: str) -> dict[str, Path]:
    """Directories that are uploaded, by logical id."""
    return {f"{resource.stack}/{resource.logical_id}": resource.asset for resource in templates.resources(kind)}


@pytest.fixture(scope="session")
def dependencies(templates: Templates) -> Path:
    return _layer(templates, "Dependencies")


@pytest.fixture(scope="session")
def library(templates: Templates) -> Path:
    return _layer(templates, "Flotilla")


def _layer(templates: Templates, name: str) -> Path:
    layers = {path for key, path in assets(templates, "AWS::Lambda::LayerVersion").items() if f"Layers{name}" in key}
    assert len(layers) == 1, "both stacks ship the same content"
    return layers.pop()


def everything(templates: Templates) -> list[Path]:
    kinds = ("AWS::Lambda::LayerVersion", "AWS::Lambda::Function")
    return sorted({path for kind in kinds for path in assets(templates, kind).values()})


def extensions(layer: Path) -> Iterator[Path]:
    yield from layer.rglob("*.so")


def test_extensions_are_of_lambdas_architecture_and_python(dependencies: Path) -> None:
    found = list(extensions(dependencies))
    assert {path.parent.name for path in found} >= {"pydantic_core", "jsonschema_rs"}
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}-"
    for path in found:
        assert _ELF_MACHINES[int.from_bytes(path.read_bytes()[18:20], "little")] == "arm64", path
        assert ".abi3." in path.name or f"{tag}aarch64-linux-gnu" in path.name, path


def test_every_shipped_module_is_compiled_and_never_checked_against_its_source(templates: Templates) -> None:
    for root in everything(templates):
        sources = list(root.rglob("*.py"))
        assert sources
        for source in sources:
            compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
            assert compiled[:4] == importlib.util.MAGIC_NUMBER, source
            assert int.from_bytes(compiled[4:8], "little") == _UNCHECKED_HASH, source
            assert compiled[8:16] == importlib.util.source_hash(source.read_bytes()), source


def test_compiled_modules_name_their_sources_as_they_lie_on_lambda(templates: Templates) -> None:
    for root in everything(templates):
        for compiled in root.rglob("*.pyc"):
            assert str(REPOSITORY).encode() not in compiled.read_bytes(), compiled


def test_there_is_no_compiled_file_without_its_source(templates: Templates) -> None:
    for root in everything(templates):
        for compiled in root.rglob("*.pyc"):
            assert Path(importlib.util.source_from_cache(str(compiled))).exists(), compiled


def test_every_file_can_be_read_by_lambdas_user(templates: Templates) -> None:
    for root in everything(templates):
        for path in root.rglob("*"):
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_aws_services_that_nothing_calls_are_left_out(dependencies: Path) -> None:
    data = dependencies / "python" / "botocore" / "data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == AWS_SERVICES
    assert {"_retry.json", "partitions.json"} <= {path.name for path in data.iterdir()}


def test_packages_tell_their_versions_and_nothing_else_about_themselves(dependencies: Path) -> None:
    pinned = (REPOSITORY / "layers" / "dependencies" / "requirements.txt").read_text(encoding="utf-8")
    metadata = list((dependencies / "python").glob("*.dist-info"))
    assert len(metadata) == len([line for line in pinned.splitlines() if "==" in line])
    for directory in metadata:
        assert {path.name for path in directory.iterdir()} <= {"METADATA", "entry_points.txt"}


def test_no_tests_and_no_type_stubs_are_shipped(templates: Templates) -> None:
    for root in everything(templates):
        assert not list(root.rglob("tests"))
        assert not list(root.rglob("*.pyi"))


def test_the_library_is_shipped_whole_with_the_manifest_of_its_agents(library: Path) -> None:
    source = REPOSITORY / "layers" / "flotilla" / "python"
    shipped = {path.relative_to(library / "python") for path in library.rglob("*.py")}
    assert shipped == {path.relative_to(source) for path in source.rglob("*.py")}
    manifest = json.loads((library / "python/flotilla/agents/manifest.json").read_text(encoding="utf-8"))
    assert "document.analyze" in manifest["agents"]
    assert not [name for name in manifest["agents"] if name.startswith("diagnostics.")]


def test_a_functions_package_holds_that_function_only(templates: Templates) -> None:
    for key, path in assets(templates, "AWS::Lambda::Function").items():
        construct = key.split("/")[1].split("Function")[0].lower()
        package = "worker" if construct in ("critical", "standard", "batch") else construct
        assert {entry.name for entry in path.iterdir()} == {"functions"}
        packages = {entry.name for entry in (path / "functions").iterdir() if entry.is_dir()}
        assert packages == {package, "__pycache__"}


def test_diagnostic_agents_are_shipped_only_where_they_are_asked_for(
    templates: Templates, local_templates: Templates
) -> None:
    for each, expected in ((templates, False), (local_templates, True)):
        paths = [
            path for path in assets(each, "AWS::Lambda::Function").values() if (path / "functions/worker").exists()
        ]
        assert paths
        assert all((path / "functions/worker/diagnostics.py").exists() is expected for path in paths)


def test_layers_say_what_they_run_on(templates: Templates) -> None:
    for layer in templates.resources("AWS::Lambda::LayerVersion"):
        assert layer.properties["CompatibleArchitectures"] == ["arm64"]
        assert layer.properties["CompatibleRuntimes"] == [f"python{sys.version_info.major}.{sys.version_info.minor}"]


def test_layers_stay_below_lambdas_limit_by_far(dependencies: Path, library: Path) -> None:
    unpacked = sum(path.stat().st_size for layer in (dependencies, library) for path in layer.rglob("*"))
    assert unpacked < 60_000_000  # 250 MB are allowed; each is read or unpacked at every cold start
