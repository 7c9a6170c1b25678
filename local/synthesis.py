"""Synthesizes the application for the engine with the real CDK command, once per state of its sources.

A cloud assembly is named by the hash of what it was made from and never changed after that, so instances share it and
an unchanged application is not synthesized again. Deploys nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.environment import synth_environment
from local.install import TOOLS_STAMP
from local.instance import REPOSITORY, Instance
from local.progress import Step

CDK_COMMAND = REPOSITORY / "node_modules" / ".bin" / "cdk"
_ASSEMBLIES = REPOSITORY / ".build" / "local-assemblies"
_KEPT_ASSEMBLIES = 3
_SOURCES = ("app.py", "cdk.json", "requirements.txt", "capacity", "stacks", "functions", "layers", "statemachines")
_NOT_SOURCES = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"})


class DeploymentError(RuntimeError):
    """Synthesis or deployment failed; the message ends with what the CDK command said."""


def synthesize(instance: Instance, step: Step) -> Path:
    """The cloud assembly of the application as it is now.

    Raises:
        DeploymentError: The application does not synthesize.
    """
    fingerprint = source_fingerprint(instance)
    assembly = _ASSEMBLIES / fingerprint[:16]
    if (assembly / "manifest.json").exists():
        os.utime(assembly)
        step.skip("unchanged")
        return assembly
    scratch = _ASSEMBLIES / f".{fingerprint[:16]}.{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        context = [word for value in _context(instance) for word in ("-c", value)]
        command: list[str | Path] = [CDK_COMMAND, "synth", "--quiet", *context, "--output", scratch]
        run_cdk(instance, command, environment=synth_environment(instance), log="synth", step=step)
        if source_fingerprint(instance) != fingerprint:
            # Somebody saved a file meanwhile: what was made may be half of the one and half of the other.
            step.note("the sources changed; once more")
            return synthesize(instance, step)
        try:
            scratch.rename(assembly)
        except OSError:
            # Another instance was faster with the same sources.
            if not (assembly / "manifest.json").exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _prune(assembly)
    return assembly


def source_fingerprint(instance: Instance) -> str:
    """Changes with everything that the cloud assembly is made from."""
    digest = hashlib.sha256("\0".join([sys.version, *_context(instance)]).encode())
    config = instance.config or REPOSITORY / "fleet.toml"
    for path in (config, TOOLS_STAMP, *_files()):
        # The configuration counts by content: where it lies makes no difference to what is deployed.
        name = "config" if path == config else str(path.relative_to(REPOSITORY))
        digest.update(f"\0{name}\0".encode())
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def _context(instance: Instance) -> list[str]:
    """What the application is told besides its configuration."""
    served = {"model_url": instance.model_url, "model": instance.model}
    return ["local=true", *(f"{key}={value}" for key, value in served.items() if value)]


def stack_templates(assembly: Path) -> dict[str, dict[str, Any]]:
    """The assembly's templates by stack name."""
    manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    stacks = {
        artifact.get("properties", {}).get("stackName", name): artifact["properties"]["templateFile"]
        for name, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    return {name: json.loads((assembly / file).read_text(encoding="utf-8")) for name, file in stacks.items()}


def run_cdk(
    instance: Instance, command: list[str | Path], *, environment: dict[str, str], log: str, step: Step
) -> None:
    """Runs the CDK command, its output in the instance's log of that name and what it is at beside the step.

    Raises:
        DeploymentError: It failed.
    """
    tail: list[str] = []
    log_file = instance.logs / f"{log}.log"
    with (
        log_file.open("w", encoding="utf-8") as output,
        # It leaves things behind there if it is interrupted.
        tempfile.TemporaryDirectory(dir=instance.home) as temporary,
        subprocess.Popen(
            [str(word) for word in command],
            cwd=REPOSITORY,
            env={**environment, "TMPDIR": temporary},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            output.write(line)
            tail = [*tail[-40:], line.rstrip()]
            step.note(_shortened(line))
    if process.returncode:
        raise DeploymentError("\n".join([*tail, f"(all of it is in {log_file})"]))


def _files() -> Iterator[Path]:
    for source in _SOURCES:
        root = REPOSITORY / source
        if root.is_file():
            yield root
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if path.is_file() and path.suffix != ".pyc" and not _NOT_SOURCES.intersection(path.parts):
                yield path


def _prune(current: Path) -> None:
    assemblies = [path for path in _ASSEMBLIES.iterdir() if not path.name.startswith(".") and path != current]
    for path in sorted(assemblies, key=lambda path: path.stat().st_mtime)[: -(_KEPT_ASSEMBLIES - 1)]:
        shutil.rmtree(path, ignore_errors=True)


def _shortened(line: str) -> str:
    words = line.strip().split("|")
    return " ".join(word.strip() for word in (words[0], *words[3:]) if word.strip())[:60]
