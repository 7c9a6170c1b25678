"""What is installed, and when again."""

from __future__ import annotations

import json
import re

from local.install import requirement_files
from local.instance import REPOSITORY

PIN = re.compile(r"[A-Za-z0-9._-]+(\[[A-Za-z0-9,._-]+\])?==\S+")


def pins(text: str) -> list[str]:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("-r ")]


def test_all_that_a_requirements_file_includes_counts() -> None:
    files = requirement_files(REPOSITORY / "requirements-dev.txt")
    names = [str(file.relative_to(REPOSITORY)) for file in files]
    assert names == ["requirements-dev.txt", "requirements.txt", "layers/dependencies/requirements.txt"]


def test_everything_is_pinned_exactly() -> None:
    files = [*requirement_files(REPOSITORY / "requirements-dev.txt"), REPOSITORY / "local" / "requirements.txt"]
    for file in files:
        for line in pins(file.read_text()):
            assert PIN.fullmatch(line), f"{file}: {line}"


def test_the_engine_is_the_one_that_the_patches_are_for() -> None:
    from local.engine_patches import PINNED_VERSION

    assert f"ministack=={PINNED_VERSION}" in pins((REPOSITORY / "local" / "requirements.txt").read_text())


def test_the_cdk_command_is_pinned_without_naming_a_registry() -> None:
    package = json.loads((REPOSITORY / "package.json").read_text())
    lock = (REPOSITORY / "package-lock.json").read_text()
    assert package["devDependencies"] == {"aws-cdk": json.loads(lock)["packages"]["node_modules/aws-cdk"]["version"]}
    assert "://" not in lock
