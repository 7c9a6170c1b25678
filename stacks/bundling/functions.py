"""The package of one Lambda function: its own modules and nothing of the other functions."""

from __future__ import annotations

from pathlib import Path

from stacks.bundling.bytecode import compile_all
from stacks.bundling.cache import built, content_of, digest, sources_in
from stacks.bundling.library import copy_sources
from stacks.bundling.process import BundlingError
from stacks.bundling.target import Target

_DIAGNOSTICS = ("diagnostics.py", "diagnostic_counters.py")


def function_names(repository: Path) -> list[str]:
    """Every package of `functions/` that has a handler."""
    return sorted(handler.parent.name for handler in (repository / "functions").glob("*/handler.py"))


def function_package(repository: Path, name: str, target: Target, build_root: Path, *, diagnostics: bool) -> Path:
    """The directory that becomes `/var/task`: `functions/__init__.py` and `functions/<name>/`.

    Args:
        repository: Its root.
        name: Of the function's package.
        target: Whose interpreter the modules are compiled for.
        build_root: Where builds are kept.
        diagnostics: Ship the diagnostic agents. Without them their code is not there to be reached.

    Raises:
        BundlingError: There is no such function, or a module does not compile.
    """
    root = repository / "functions"
    package = root / name
    if not (package / "handler.py").is_file():
        raise BundlingError(f"functions/{name}/handler.py is missing")
    files = [root / "__init__.py", *sources_in(package)]
    if not diagnostics:
        files = [path for path in files if path not in {package / each for each in _DIAGNOSTICS}]
    recipe = content_of(Path(__file__).parent, sources_in(Path(__file__).parent))
    key = digest([target.python, *content_of(root, files), *recipe])

    def make(directory: Path) -> None:
        copy_sources(repository, directory, files)
        compile_all(directory, "/var/task")

    return built(build_root / "functions" / f"{name}-{target.name}", key, make)
