"""What the peers need: their packages in a virtual environment of their own, and two servers that must be installed.

The packages are installed by name when they are first wanted, as `requirements.txt` beside this file pins them. Servers
are never installed from here: that takes rights which a benchmark has no business with.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local.instance import REPOSITORY
from local.progress import Progress

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
FOLDER = REPOSITORY / ".build" / "peers"
PYTHON = FOLDER / "bin" / "python"
APT = "apt-get install -y redis-server postgresql"

_POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"


class MissingError(Exception):
    """Something that a peer needs is not on this machine; the message says what, and what to do."""


def install(progress: Progress) -> None:
    """Make the peers' virtual environment, where it is not there as `requirements.txt` wants it.

    Raises:
        MissingError: The packages cannot be installed.
    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = FOLDER / "installed"
    with progress.step("the peers' virtual environment") as step:
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            step.skip()
            return
        shutil.rmtree(FOLDER, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
        pip: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*pip, "--requirement", REQUIREMENTS], capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingError(f"the peers' packages cannot be installed: {done.stderr.strip()[-500:]}")
        stamp.write_text(wanted, encoding="utf-8")


def redis_server() -> str:
    """The program.

    Raises:
        MissingError: It is not installed.
    """
    found = shutil.which("redis-server")
    if found is None:
        raise MissingError(f"redis-server is not installed: `{APT}`")
    return found


def postgres_folder() -> Path:
    """Where `initdb` and `postgres` are, of the newest version.

    Raises:
        MissingError: They are not installed.
    """
    on_path = shutil.which("initdb")
    folders = sorted(Path("/").glob(_POSTGRES_FOLDERS.lstrip("/")), key=lambda folder: float(folder.parent.name))
    found = Path(on_path).parent if on_path else folders[-1] if folders else None
    if found is None or not (found / "postgres").exists():
        raise MissingError(f"PostgreSQL is not installed: `{APT}`")
    return found


@dataclass(frozen=True, slots=True)
class Account:
    """Who a server runs as."""

    user: int
    group: int


def unprivileged() -> Account:
    """This process's user, or for root, as whom PostgreSQL refuses to run, the one that its package made.

    Raises:
        MissingError: This is root, and there is no such user.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        found = pwd.getpwnam("postgres")
    except KeyError:
        raise MissingError(f"PostgreSQL does not run as root, and there is no user `postgres`: `{APT}`") from None
    return Account(found.pw_uid, found.pw_gid)
