"""The peers' packages, in a folder of their own beside what the product needs: nothing of it ever sees them.

They are installed by name when they are first wanted, as `requirements.txt` beside this file pins them. Modules of the
project's own environment come first, so a peer runs with the versions that the project has.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from local.instance import REPOSITORY

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
FOLDER = REPOSITORY / ".build" / "fault-lab-peers"


@cache
def install() -> None:
    """Make the peers importable, from the package index where they are not there yet."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    stamp = FOLDER / "installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(FOLDER, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(FOLDER), "--requirement", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))


@cache
def peer(module: str) -> ModuleType:
    """One of the peers' modules."""
    install()
    return import_module(module)
