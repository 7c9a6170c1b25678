"""Where one engine keeps its things, and what it tells others about itself.

All that an engine writes lies below `Instance.root`, so that two instances never meet and forgetting one is removing a
directory. This module touches no process and no network.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
ACCOUNT = "000000000000"
DEFAULT_PORT = 4566


@dataclass(frozen=True)
class Instance:
    """One engine: a directory, a port it would like, the configuration it deploys.

    Attributes:
        root: The directory that holds everything of this instance.
        port: The wanted port. None takes the one used last, at first 4566; 0 likewise, at first any free one.
        config: The `fleet.toml` to deploy; None leaves the choice to the application.
        model_url: Of a server that speaks OpenAI's protocol and serves all models; None leaves them to the engine,
            which answers with something made up.
        model: What that server calls its model; None where it goes by the models' own ids.
        owner_pid: If given, the engine ends by itself soon after that process is gone, so that a killed test run
            leaves nothing behind.
    """

    root: Path = REPOSITORY / ".flotilla"
    port: int | None = None
    config: Path | None = None
    model_url: str | None = None
    model: str | None = None
    owner_pid: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).resolve())
        if self.config is not None:
            object.__setattr__(self, "config", Path(self.config).resolve())

    @property
    def state(self) -> Path:
        """What the engine saves when it stops: stacks, tables, queues, functions."""
        return self.root / "state"

    @property
    def buckets(self) -> Path:
        """The contents of S3 buckets, written through as they change."""
        return self.root / "s3"

    @property
    def temporary(self) -> Path:
        """The engine's private TMPDIR; emptied at every start and stop."""
        return self.root / "tmp"

    @property
    def logs(self) -> Path:
        """Output of the engine, the event sources, synth and deploy."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Records of running processes and of what was deployed last."""
        return self.root / "run"

    @property
    def checkpoints(self) -> Path:
        """How far the event sources have read each stream."""
        return self.root / "checkpoints"

    @property
    def home(self) -> Path:
        """HOME of the CDK CLI, which would otherwise cache dummy accounts among the user's real ones."""
        return self.root / "home"

    @property
    def info_file(self) -> Path:
        """Where clients find this engine."""
        return self.root / "local.json"

    def make_directories(self) -> None:
        """Creates the instance's directories, readable by the user alone: they hold keys and data."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for directory in (self.state, self.buckets, self.temporary, self.logs, self.run, self.checkpoints, self.home):
            directory.mkdir(exist_ok=True, mode=0o700)


@dataclass(frozen=True)
class LocalInfo:
    """What a client needs to talk to a running instance."""

    api_url: str
    operator_key: str
    tenant_key: str
    engine_url: str
    region: str = REGION
    outputs: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Replaces `path` in one step, readable by the user alone."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        replace_file(path, text)

    @classmethod
    def load(cls, path: Path) -> LocalInfo | None:
        """Reads what `save` wrote; None where there is nothing usable."""
        record = read_json(path)
        try:
            return cls(**record) if record else None
        except TypeError:
            return None


def replace_file(path: Path, text: str) -> None:
    """Writes `text` so that a reader, or a crash, sees the old content or the new, never a part; mode 0600."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    scratch.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`; None where there is no such file or it holds something else."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
