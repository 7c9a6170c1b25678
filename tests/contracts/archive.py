"""The contract of `Archive`."""

from __future__ import annotations

import asyncio

from flotilla.events import Kind, verify_chain
from flotilla.ports import Archive
from tests.logs import LogBuilder, log_of

KEY = "archive/2026/11/05/14/abc.jsonl.gz"


class ArchiveContract:
    """Provide a fixture `archive`: an empty archive."""

    def test_each_log_comes_back_as_it_was(self, archive: Archive) -> None:
        builder = LogBuilder("tsk_b")
        builder.add(Kind.ACCEPTED, labels={"text": "größe \u2028 \n \U0001f680", "number": "1.0"}, session="s")
        builder.add(Kind.STARTED, attempt=1, note=[1.0, -0.0, 2**70, None])
        builder.add(Kind.SUCCEEDED, attempt=1)
        logs = [log_of(Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_a"), builder.events, log_of(task_id="tsk_c")]
        asyncio.run(archive.put(KEY, logs))
        for log in logs:
            found = asyncio.run(archive.get(KEY, log[0].task_id))
            assert found == log
            verify_chain(found)

    def test_a_task_that_is_not_in_the_object_has_no_log_there(self, archive: Archive) -> None:
        asyncio.run(archive.put(KEY, [log_of(task_id="tsk_a")]))
        assert asyncio.run(archive.get(KEY, "tsk_")) == []

    def test_nothing_is_in_an_object_that_is_not_there(self, archive: Archive) -> None:
        assert asyncio.run(archive.get(KEY, "tsk_a")) == []

    def test_putting_it_again_changes_nothing(self, archive: Archive) -> None:
        log = log_of(Kind.STARTED, Kind.SUCCEEDED, task_id="tsk_a")
        for _ in range(2):
            asyncio.run(archive.put(KEY, [log]))
        assert asyncio.run(archive.get(KEY, "tsk_a")) == log
