"""A copy of this repository, in which a test does by hand what a document has one do, and an engine of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.instance import REPOSITORY

_COPIED = (
    *("app.py", "cdk.json", "fleet.toml", "flotilla", "requirements.txt", "requirements-dev.txt", "package.json"),
    *("package-lock.json", "README.md", "capacity", "cli", "examples", "functions", "layers", "local", "stacks"),
    "statemachines",
)
_INSTALLED = (".venv", ".engine-venv", "node_modules")
_SECONDS = 600

# `make up`, but on any free port, and an engine that ends when this process does.
_UP = """
from local.engine import up
from local.instance import Instance
up(Instance(port=0, owner_pid={pid}))
"""
_DOWN = """
from local.engine import forget
from local.instance import Instance
forget(Instance())
"""


@dataclass(frozen=True)
class Checkout:
    """The copy."""

    root: Path

    def bash(self, script: str) -> str:
        """What a script of the document printed, typed in the copy; it must succeed."""
        make = 'make() { [ "$*" = up ] || return 2; .venv/bin/python .up.py >&2; }\n'
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "250",
        }
        ended = subprocess.run(
            ["/bin/bash", "-eu", "-o", "pipefail", "-c", make + script],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def json(self, command: str) -> Any:
        """What the command answers as JSON, whatever its exit status."""
        return json.loads(self.bash(f"./flotilla {command} --json || true"))


@contextmanager
def checkout(root: Path) -> Iterator[Checkout]:
    """A copy below `root`; what was started from it is stopped in the end."""
    root = root.resolve()
    for name in _COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, root / name)
    for name in _INSTALLED:
        (root / name).symlink_to(REPOSITORY / name)
    _share_dependencies(root)
    for name, program in ((".up.py", _UP.format(pid=os.getpid())), (".down.py", _DOWN)):
        (root / name).write_text(program, encoding="utf-8")
    made = Checkout(root)
    try:
        yield made
    finally:
        made.bash(".venv/bin/python .down.py")


def _share_dependencies(root: Path) -> None:
    """The layer of third-party packages is the same and takes longest to build."""
    layers = root / ".build" / "layers"
    layers.mkdir(parents=True)
    for built in (REPOSITORY / ".build" / "layers").glob("dependencies-*"):
        (layers / built.name).symlink_to(built)
