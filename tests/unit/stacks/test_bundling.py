"""What is built is built once, whole, and for the right platform."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stacks.bundling.bundles import Bundles
from stacks.bundling.bytecode import compile_all
from stacks.bundling.cache import built, digest, sources_in
from stacks.bundling.functions import function_names
from stacks.bundling.process import BundlingError, run_python
from stacks.bundling.target import Target, target_of
from stacks.config import ConfigError
from stacks.local_differences import AWS, EMBEDDED_ENGINE
from stacks.settings_model import Runtime

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = "3.12" if HERE != "3.12" else "3.11"


class TestCache:
    def test_the_same_key_is_made_once(self, tmp_path: Path) -> None:
        made: list[Path] = []

        def make(directory: Path) -> None:
            made.append(directory)
            (directory / "content").write_text("x", encoding="utf-8")

        first = built(tmp_path / "kind", digest(["a"]), make)
        assert built(tmp_path / "kind", digest(["a"]), make) == first
        assert built(tmp_path / "kind", digest(["b"]), make) != first
        assert len(made) == 2
        assert (first / "content").read_text(encoding="utf-8") == "x"

    def test_what_failed_to_be_made_leaves_nothing_behind(self, tmp_path: Path) -> None:
        def make(directory: Path) -> None:
            (directory / "half").touch()
            raise BundlingError("no")

        with pytest.raises(BundlingError):
            built(tmp_path / "kind", digest(["a"]), make)
        assert list(tmp_path.iterdir()) == []

    def test_two_at_once_end_with_one_whole_directory(self, tmp_path: Path) -> None:
        def make(directory: Path) -> None:
            (directory / "content").write_text("x", encoding="utf-8")

        with ThreadPoolExecutor(max_workers=8) as pool:
            directories = set(pool.map(lambda _: built(tmp_path / "kind", digest(["a"]), make), range(8)))
        assert [directory.name for directory in directories] == [path.name for path in tmp_path.iterdir()]

    def test_the_oldest_of_many_are_forgotten(self, tmp_path: Path) -> None:
        for number in range(7):
            directory = built(tmp_path / "kind", digest([str(number)]), lambda directory: None)
            os.utime(directory, (number, number))
        latest = built(tmp_path / "kind", digest(["x"]), lambda directory: None)
        assert len(list(tmp_path.iterdir())) == 4
        assert latest.exists()

    def test_files_can_be_read_whatever_the_umask(self, tmp_path: Path) -> None:
        def make(directory: Path) -> None:
            (directory / "sub").mkdir(mode=0o700)
            (directory / "sub" / "file").touch(mode=0o600)

        directory = built(tmp_path / "kind", digest(["a"]), make)
        assert [path.stat().st_mode & 0o777 for path in (directory, directory / "sub", directory / "sub" / "file")] == [
            0o755,
            0o755,
            0o644,
        ]

    def test_parts_of_a_key_stay_apart(self) -> None:
        assert digest(["ab", "c"]) != digest(["a", "bc"])

    def test_compiled_and_hidden_files_are_no_sources(self, tmp_path: Path) -> None:
        for name in ("a.py", "__pycache__/a.cpython-313.pyc", "b.pyc", ".hidden", ".git/x", "sub/data.json"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        assert [path.relative_to(tmp_path).as_posix() for path in sources_in(tmp_path)] == ["a.py", "sub/data.json"]


class TestTarget:
    def test_python_3_11_gets_no_wheel_that_needs_a_newer_glibc(self) -> None:
        assert "--platform=manylinux2014_aarch64" in Target("3.11", "arm64", host=False).pip_options
        assert not [option for option in Target("3.11", "arm64", host=False).pip_options if "2_28" in option]
        assert "--platform=manylinux_2_28_x86_64" in Target("3.13", "x86_64", host=False).pip_options

    def test_nothing_is_ever_compiled_from_source(self) -> None:
        for host in (True, False):
            assert "--only-binary=:all:" in Target("3.13", "arm64", host=host).pip_options

    def test_the_runtime_is_the_python_that_synthesizes(self) -> None:
        assert target_of(Runtime(), AWS).python == HERE
        assert target_of(Runtime.model_validate({"python": HERE}), AWS).python == HERE

    def test_a_runtime_that_this_python_cannot_compile_for_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=rf"runtime\.python: is '{OTHER}', but this is Python {HERE}"):
            target_of(Runtime.model_validate({"python": OTHER}), AWS)

    def test_the_embedded_engine_runs_on_this_python_whatever_the_runtime(self) -> None:
        target = target_of(Runtime.model_validate({"python": OTHER, "architecture": "arm64"}), EMBEDDED_ENGINE)
        assert target.host
        assert target.python == HERE
        assert target.pip_options == ["--only-binary=:all:"]


def test_every_package_with_a_handler_is_a_function(tmp_path: Path) -> None:
    for name in ("functions/one/handler.py", "functions/two/handler.py", "functions/no_function/part.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert function_names(tmp_path) == ["one", "two"]


def test_a_function_that_is_not_there_is_named(tmp_path: Path) -> None:
    bundles = Bundles(Target("3.13", "arm64", host=False), tmp_path, tmp_path, {"api": tmp_path}, {})
    assert bundles.function("api") == tmp_path
    with pytest.raises(BundlingError, match=r"functions/relay/handler\.py is missing"):
        bundles.function("relay")


def test_a_module_that_does_not_compile_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def", encoding="utf-8")
    with pytest.raises(BundlingError, match=r"broken\.py"):
        compile_all(tmp_path, "/opt")


def test_compiling_the_same_twice_gives_the_same(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        root = tmp_path / name
        root.mkdir()
        (root / "module.py").write_text("NAMES = {'a', 'b', 'c'}\ndef f(x): return x in {'d', 'e', 'f'}\n", "utf-8")
        compile_all(root, "/opt")
        contents.append([path.read_bytes() for path in sorted(root.rglob("*.pyc"))])
    assert contents[0] == contents[1]


def test_a_program_that_fails_shows_the_end_of_what_it_said() -> None:
    code = "for n in range(100): print(n)\nraise SystemExit('at last')"
    with pytest.raises(BundlingError) as failure:
        run_python("counting", ["-c", code])
    lines = str(failure.value).splitlines()
    assert lines[0] == "counting failed:"
    assert lines[-1].strip() == "at last"
    assert len(lines) == 26
