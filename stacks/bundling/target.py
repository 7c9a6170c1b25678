"""What is built for: a Python version and a platform."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from stacks.config import ConfigError
from stacks.local_differences import Place
from stacks.settings_model import Runtime
from stacks.settings_rules import Problem

SUPPORTED_PYTHONS = ("3.11", "3.12", "3.13")
"""What Lambda offers of what the code is written for."""

_GLIBC_2_28_SINCE = (3, 12)
"""Lambda runs Python 3.12 and later on Amazon Linux 2023 (glibc 2.34), 3.11 on Amazon Linux 2 (glibc 2.26)."""


@dataclass(frozen=True)
class Target:
    """What the layers are built for.

    Attributes:
        python: `3.13` and the like.
        architecture: `arm64` or `x86_64`, as Lambda calls them.
        host: Built for this machine, whatever it is.
    """

    python: str
    architecture: str
    host: bool

    @property
    def name(self) -> str:
        """For directories."""
        return f"{'host' if self.host else 'lambda'}-py{self.python.replace('.', '')}-{self.architecture}"

    @property
    def pip_options(self) -> list[str]:
        """What makes pip take wheels of this target."""
        options = ["--only-binary=:all:"]
        if self.host:
            return options
        machine = "aarch64" if self.architecture == "arm64" else "x86_64"
        platforms = [f"manylinux_2_17_{machine}", f"manylinux2014_{machine}"]
        if tuple(map(int, self.python.split("."))) >= _GLIBC_2_28_SINCE:
            platforms.insert(0, f"manylinux_2_28_{machine}")
        options += [f"--platform={name}" for name in platforms]
        return [*options, f"--python-version={self.python}", "--implementation=cp"]


def target_of(runtime: Runtime, place: Place) -> Target:
    """What to build for.

    Raises:
        ConfigError: This interpreter is none that Lambda runs, or not the one `runtime.python` asks for. Compiled files
            ship with the layers, and only the same version can make them.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here not in SUPPORTED_PYTHONS:
        raise ConfigError("this Python", [Problem((), f"is {here}; allowed: {', '.join(SUPPORTED_PYTHONS)}")])
    if place.builds_for_host:
        machine = platform.machine()
        return Target(here, "arm64" if machine in ("arm64", "aarch64") else "x86_64", host=True)
    if runtime.python not in ("auto", here):
        message = f"is {runtime.python!r}, but this is Python {here}: synthesize with {runtime.python}, or say 'auto'"
        raise ConfigError("fleet.toml", [Problem(("runtime", "python"), message)])
    return Target(here, runtime.architecture, host=False)
