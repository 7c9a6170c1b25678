"""Everything that is installed is pinned, and each version has one home."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIME = REPOSITORY / "layers" / "dependencies" / "requirements.txt"
FILES = (RUNTIME, REPOSITORY / "requirements.txt", REPOSITORY / "requirements-dev.txt")

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(\[[a-z0-9,]+\])?==([A-Za-z0-9.]+)( ; .+)?$")


def pins(path: Path) -> dict[str, str]:
    """Name → version of each line that is no comment and no reference to another file."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        requirement = line.split(" #")[0].strip()
        if requirement and not requirement.startswith(("#", "-r")):
            match = _PIN.match(requirement)
            assert match, f"{path.name}: {requirement!r} is not pinned exactly"
            found[match[1].lower().replace("_", "-")] = match[3]
    return found


def test_files_agree() -> None:
    versions: dict[str, set[str]] = {}
    for path in FILES:
        for name, version in pins(path).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_what_the_functions_import_is_named_for_the_tools_too() -> None:
    assert "-r layers/dependencies/requirements.txt" in FILES[1].read_text(encoding="utf-8").splitlines()
    assert "-r requirements.txt" in FILES[2].read_text(encoding="utf-8").splitlines()
    assert {"aws-cdk-lib", "constructs", "boto3", "aws-lambda-powertools", "pydantic", "moto", "pytest"} <= set(
        pins(FILES[1])
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_nothing_is_needed_that_is_not_listed(path: Path) -> None:
    """The layer is installed without resolving anything, so a forgotten package would be missing on Lambda."""
    listed = {name for each in FILES[: FILES.index(path) + 1] for name in pins(each)}
    for name in pins(path):
        for requirement in metadata.requires(name) or []:
            needed, _, marker = requirement.partition(";")
            if "extra" in marker or not _applies(marker):
                continue
            dependency = re.split(r"[\s<>=!~\[(]", needed.strip())[0].lower().replace("_", "-").replace(".", "-")
            assert dependency in listed, f"{name} needs {dependency}"


def _applies(marker: str) -> bool:
    from packaging.markers import Marker

    return not marker.strip() or Marker(marker.strip()).evaluate()
