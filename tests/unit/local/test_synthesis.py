"""What an assembly is made from names it: another source, configuration or model server is another assembly."""

from __future__ import annotations

from pathlib import Path

from local.instance import Instance
from local.synthesis import source_fingerprint


def fingerprint(root: Path, **changes: str) -> str:
    return source_fingerprint(Instance(root=root, **changes))  # type: ignore[arg-type]


def test_another_model_server_is_another_assembly_and_none_is_the_usual_one(tmp_path: Path) -> None:
    url = "http://127.0.0.1:11434/v1"
    found = {
        fingerprint(tmp_path),
        fingerprint(tmp_path, model_url=url),
        fingerprint(tmp_path, model_url=url, model="llama3.2"),
        fingerprint(tmp_path, model_url=f"{url}/"),
    }
    assert len(found) == 4
    assert fingerprint(tmp_path / "elsewhere") in found
