"""Compiles what is shipped. Lambda's file system is read-only: what is not compiled here is compiled at every start."""

from __future__ import annotations

from pathlib import Path

from stacks.bundling.process import run_python


def compile_all(root: Path, deployed_at: str) -> None:
    """Puts compiled files beside all modules under `root`.

    They are never checked against their sources (times do not survive zipping, and hashing costs what compiling
    saves), and name their sources as they will lie on Lambda, which also makes them the same from any checkout.

    Args:
        root: What becomes `deployed_at`.
        deployed_at: `/opt` for a layer, `/var/task` for a function.

    Raises:
        BundlingError: A module does not compile.
    """
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", deployed_at]
    run_python(f"compiling {root.name}", ["-m", "compileall", *options, str(root)])
