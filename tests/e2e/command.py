"""The `flotilla` command, run as a person runs it: a process that finds its deployment in its environment."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from local.environment import TOOLS_PYTHON
from local.instance import REPOSITORY, LocalInfo

_SECONDS = 120


@dataclass(frozen=True)
class Command:
    """The command with an operator's key."""

    info: LocalInfo

    def run(self, *arguments: str, status: int = 0) -> str:
        """What it printed; it must end with that exit status."""
        environment = {
            "PATH": os.defpath,
            "COLUMNS": "250",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "layers" / "flotilla" / "python")]),
            "FLOTILLA_API_URL": self.info.api_url,
            "FLOTILLA_API_KEY": self.info.operator_key,
        }
        ended = subprocess.run(
            [str(TOOLS_PYTHON), "-m", "cli", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stdout

    def json(self, *arguments: str, status: int = 0) -> Any:
        """What it printed as JSON."""
        return json.loads(self.run(*arguments, "--json", status=status))
