"""What an instance keeps on disk."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from local.event_sources.checkpoints import Checkpoints
from local.instance import Instance, LocalInfo, read_json, replace_file

INFO = LocalInfo("http://127.0.0.1:1/x", "operator", "tenant", "http://127.0.0.1:1", outputs={"ApiId": "x"})


def test_local_json_can_be_read_by_its_user_alone(tmp_path: Path) -> None:
    INFO.save(tmp_path / "local.json")
    assert stat.S_IMODE((tmp_path / "local.json").stat().st_mode) == 0o600


def test_local_json_begins_with_what_clients_are_promised(tmp_path: Path) -> None:
    INFO.save(tmp_path / "local.json")
    record = json.loads((tmp_path / "local.json").read_text())
    assert list(record)[:5] == ["api_url", "operator_key", "tenant_key", "engine_url", "region"]
    assert LocalInfo.load(tmp_path / "local.json") == INFO


def test_an_unreadable_local_json_is_none(tmp_path: Path) -> None:
    file = tmp_path / "local.json"
    assert LocalInfo.load(file) is None
    for text in ("", "[]", '{"api_url": "x"}', '{"unknown": 1}'):
        file.write_text(text)
        assert LocalInfo.load(file) is None


def test_replacing_a_file_leaves_nothing_else_behind(tmp_path: Path) -> None:
    replace_file(tmp_path / "record", "1")
    replace_file(tmp_path / "record", "2")
    assert [path.name for path in tmp_path.iterdir()] == ["record"]
    assert (tmp_path / "record").read_text() == "2"
    assert read_json(tmp_path / "record") is None


def test_everything_of_an_instance_lies_below_its_root(tmp_path: Path) -> None:
    instance = Instance(root=tmp_path / "one")
    instance.make_directories()
    assert stat.S_IMODE(instance.root.stat().st_mode) == 0o700
    for directory in (instance.state, instance.buckets, instance.temporary, instance.logs, instance.run):
        assert directory.is_dir()
        assert directory.is_relative_to(instance.root)


def test_checkpoints_survive_and_the_first_start_is_kept(tmp_path: Path) -> None:
    first = Checkpoints.open(tmp_path, "mapping", since_seconds=100.0)
    first.advance("shard", "0001")
    first.advance("shard", None)
    second = Checkpoints.open(tmp_path, "mapping", since_seconds=999.0)
    assert (second.since_seconds, second.shards) == (100.0, {"shard": "0001"})


def test_mappings_have_checkpoints_of_their_own(tmp_path: Path) -> None:
    Checkpoints.open(tmp_path, "one", since_seconds=0.0).advance("shard", "0001")
    assert Checkpoints.open(tmp_path, "two", since_seconds=0.0).shards == {}
