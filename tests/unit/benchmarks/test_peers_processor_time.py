"""Processor time is counted of a system's processes, all of them and no others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.at_work import busiest, connected_to
from benchmarks.peers.processor_time import Accounted, below, parse, running, ticks_of, tree, used_ms

STAT = "4242 (a (strange) name) S 17 4242 4242 0 -1 4194560 500 600 0 0 31 7 400 60 20 0 9 0 123456 1000 200 0"


def machine(*rows: tuple[int, int, int]) -> dict[int, Accounted]:
    return {pid: Accounted(pid, parent, ticks) for pid, parent, ticks in rows}


def test_time_is_a_processes_own_and_that_of_the_children_it_waited_for() -> None:
    assert parse(STAT) == Accounted(pid=4242, parent=17, ticks=31 + 7 + 400 + 60)


@pytest.mark.parametrize("text", ["", "no process", "4242 (short) S 17"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="record"):
        parse(text)


def test_descendants_are_counted_and_strangers_are_not() -> None:
    processes = machine((1, 0, 1000), (10, 1, 5), (11, 10, 7), (12, 11, 9), (20, 1, 300))
    assert below([10], processes) == {10, 11, 12}
    assert ticks_of([10], processes) == 5 + 7 + 9


def test_a_root_below_another_counts_once() -> None:
    processes = machine((10, 1, 5), (11, 10, 7))
    assert ticks_of([10, 11, 10], processes) == 12


def test_a_root_that_is_gone_counts_nothing() -> None:
    assert ticks_of([99], machine((10, 1, 5))) == 0


def test_the_kernels_own_records_are_understood() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert running()[child.pid].parent == os.getpid()
        assert child.pid in tree(os.getpid())
        assert used_ms([os.getpid()]) > 0
        child.communicate(b"\n")


def test_a_process_with_a_connection_to_the_receiver_is_at_work() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert busiest(lambda: [os.getppid(), os.getpid()], f"http://127.0.0.1:{port}/effects") == os.getpid()
        table = Path("/proc/net/tcp").read_text(encoding="ascii")
        assert connected_to(port + 1 if port < 65535 else 1, table.splitlines()[0]) == set()
