"""Directories named by the hash of what they were made of.

A directory that is there is whole: it is made under another name and renamed. So two synths at once, or one that is
killed, can spoil nothing, and a second synth builds nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_KEPT = 4
"""Builds kept of each kind: what a branch switched back to still has, and what a synth running beside this one uses."""

_UNFINISHED = ".making-"


def digest(parts: Iterable[str | bytes]) -> str:
    """One hash over `parts`, which stay apart."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()


def sources_in(root: Path) -> Iterator[Path]:
    """The files under `root` that are source, in one order: nothing compiled, nothing hidden."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield path


def content_of(root: Path, files: Iterable[Path]) -> Iterator[str | bytes]:
    """Names and contents, for `digest`."""
    for path in files:
        yield path.relative_to(root).as_posix()
        yield path.read_bytes()


def built(kind: Path, key: str, make: Callable[[Path], None]) -> Path:
    """The directory for `key`, made by `make` if it is not there.

    Args:
        kind: Path of which the directories of this kind are named `<kind>-<key>`.
        key: Hash of all that the content depends on.
        make: Fills the empty directory it is given.
    """
    destination = kind.with_name(f"{kind.name}-{key[:20]}")
    if destination.is_dir():
        os.utime(destination)
        return destination
    kind.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=kind.parent))
    try:
        make(unfinished)
        _make_readable(unfinished)
        try:
            unfinished.rename(destination)
        except OSError:
            # Another synth was first. Its directory is as good.
            if not destination.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _forget_oldest(kind)
    return destination


def _make_readable(root: Path) -> None:
    """Whatever the umask: Lambda runs code as a user of its own. It keeps the modes that files are zipped with."""
    root.chmod(0o755)
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _forget_oldest(kind: Path) -> None:
    key = "[0-9a-f]" * 20
    builds = sorted(kind.parent.glob(f"{kind.name}-{key}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in builds[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
