"""How far each mapping has read each shard, on disk.

A checkpoint moves only after its records are done with, so losing the last write repeats records and skips none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from local.instance import read_json, replace_file


@dataclass
class Checkpoints:
    """The checkpoints of one mapping.

    Attributes:
        since_seconds: Where the mapping began at LATEST, in epoch seconds; records made earlier are not for it.
        shards: Sequence number of the last record done with, by shard.
    """

    file: Path
    since_seconds: float = 0.0
    shards: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: Path, mapping: str, *, since_seconds: float) -> Checkpoints:
        """Reads a mapping's checkpoints, or begins them with `since_seconds`."""
        file = directory / f"{mapping}.json"
        record = read_json(file)
        if record is None:
            checkpoints = cls(file, since_seconds)
            checkpoints._save()
            return checkpoints
        return cls(file, float(record["since_seconds"]), dict(record["shards"]))

    def advance(self, shard: str, sequence_number: str | None) -> None:
        """Records that everything up to `sequence_number` is done with."""
        if sequence_number is not None and self.shards.get(shard) != sequence_number:
            self.shards[shard] = sequence_number
            self._save()

    def _save(self) -> None:
        replace_file(self.file, json.dumps({"since_seconds": self.since_seconds, "shards": self.shards}))
