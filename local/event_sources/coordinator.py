"""Keeps one running source per enabled mapping, and their limits up to date.

Looks at the engine every two seconds, so that a changed maximum, a paused mapping and a new deployment take effect
within a few seconds. An engine that is away is waited for.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.clients import client
from local.event_sources.activity import Activity
from local.event_sources.invocation import Invoker
from local.event_sources.mappings import Mapping, read_mapping
from local.event_sources.slots import Limits, SlotLedger
from local.event_sources.sqs_source import SqsSource
from local.event_sources.stream_feed import StreamFeed
from local.event_sources.stream_source import StreamSource

_LOG = logging.getLogger("local.event_sources")
_REFRESH_SECONDS = 2.0
_REFRESHES_PER_RESERVED = 3
_LARGEST_POOL = 256
# Lambda's longest timeout is 900 s.
_INVOKE_TIMEOUT_SECONDS = 960.0
_RECEIVE_TIMEOUT_SECONDS = 60.0

Source = SqsSource | StreamSource


class Coordinator:
    """Serves all mappings of one engine until told to stop."""

    def __init__(self, engine_url: str, *, checkpoints: Path) -> None:
        self._stopping = threading.Event()
        self._checkpoints = checkpoints
        self._lambda = client("lambda", engine_url)
        self._queues = client("sqs", engine_url, read_timeout_seconds=_RECEIVE_TIMEOUT_SECONDS)
        self._topics = client("sns", engine_url)
        self._streams = client("dynamodbstreams", engine_url)
        invoking = client("lambda", engine_url, read_timeout_seconds=_INVOKE_TIMEOUT_SECONDS, attempts=1)
        self._invoker = Invoker(invoking, self._stopping)
        self._ledger = SlotLedger()
        self._pool = ThreadPoolExecutor(max_workers=_LARGEST_POOL, thread_name_prefix="delivery")
        self._activity = Activity()
        self._feeds: dict[str, StreamFeed] = {}
        self._sources: dict[str, Source] = {}
        self._ending: dict[str, Source] = {}
        self._reserved: dict[str, int | None] = {}
        self._refreshes = 0

    def request_stop(self) -> None:
        """Makes `run` finish."""
        self._stopping.set()

    def run(self, *, grace_seconds: float) -> bool:
        """Serves until told to stop, then finishes what runs, for about `grace_seconds` at most.

        Returns:
            Whether everything was finished; if not, threads are left that wait for invocations.
        """
        while not self._stopping.is_set():
            try:
                self._refresh()
            except (ClientError, BotoCoreError) as error:
                _LOG.warning("cannot list the mappings: %s", error)
            self._stopping.wait(_REFRESH_SECONDS)
        sources = [*self._sources.values(), *self._ending.values()]
        for source in sources:
            source.request_stop()
        deadline = time.monotonic() + grace_seconds
        for source in sources:
            source.join(max(0.0, deadline - time.monotonic()))
        if not self._ledger.wait_until_idle(timeout_seconds=max(0.0, deadline - time.monotonic())):
            _LOG.warning("left invocations running; their messages come back when their visibility ends")
            return False
        self._pool.shutdown(wait=True)
        return True

    def _refresh(self) -> None:
        mappings = self._mappings()
        self._refresh_reserved(mappings)
        for uuid in list(self._sources):
            mapping = mappings.get(uuid)
            if mapping is None or not mapping.enabled:
                self._end(uuid)
        for mapping in mappings.values():
            if not mapping.enabled:
                continue
            reserved = self._reserved.get(mapping.function)
            limits = Limits(mapping.function, maximum=mapping.maximum_concurrency, reserved=reserved)
            self._ledger.set_limits(mapping.uuid, limits)
            source = self._sources.get(mapping.uuid)
            if source is not None and source.is_alive():
                source.mapping = mapping
            elif not self._is_ending(mapping.uuid):
                self._start(mapping)

    def _end(self, uuid: str) -> None:
        source = self._sources.pop(uuid)
        source.request_stop()
        self._ending[uuid] = source
        self._ledger.forget(uuid)

    def _is_ending(self, uuid: str) -> bool:
        """Whether a former source of the mapping still works: two would deliver a stream's records twice."""
        if uuid in self._ending and not self._ending[uuid].is_alive():
            del self._ending[uuid]
        return uuid in self._ending

    def _mappings(self) -> dict[str, Mapping]:
        pages = self._lambda.get_paginator("list_event_source_mappings").paginate()
        records = [record for page in pages for record in page["EventSourceMappings"] if "EventSourceArn" in record]
        return {str(record["UUID"]): read_mapping(record) for record in records}

    def _refresh_reserved(self, mappings: dict[str, Mapping]) -> None:
        due = self._refreshes % _REFRESHES_PER_RESERVED == 0
        self._refreshes += 1
        seen: set[str] = set()
        for mapping in mappings.values():
            if mapping.enabled and mapping.function not in seen and (due or self._may_be_outdated(mapping)):
                seen.add(mapping.function)
                self._reserved[mapping.function] = self._reserved_of(mapping.function)

    def _may_be_outdated(self, mapping: Mapping) -> bool:
        """Whether the mapping may ask for more than is known to be reserved: more was reserved before it was raised."""
        if mapping.function not in self._reserved:
            return True
        reserved = self._reserved[mapping.function]
        return (
            reserved is not None and mapping.maximum_concurrency is not None and mapping.maximum_concurrency > reserved
        )

    def _reserved_of(self, function: str) -> int | None:
        try:
            answer = self._lambda.get_function_concurrency(FunctionName=function)
        except self._lambda.exceptions.ResourceNotFoundException:
            # A mapping may outlive its function; that must not keep the others from being served.
            return 0
        reserved = answer.get("ReservedConcurrentExecutions")
        return None if reserved is None else int(reserved)

    def _start(self, mapping: Mapping) -> None:
        source: Source
        if mapping.is_queue:
            source = SqsSource(
                mapping,
                queues=self._queues,
                invoker=self._invoker,
                ledger=self._ledger,
                pool=self._pool,
                activity=self._activity,
            )
            if mapping.filters:
                _LOG.warning("%s has a filter, which is not applied here", mapping.uuid)
        elif mapping.is_table_stream:
            source = StreamSource(
                mapping,
                feed=self._feed_of(mapping.source_arn),
                activity=self._activity,
                notify=self._notify,
                invoker=self._invoker,
                ledger=self._ledger,
                checkpoints=self._checkpoints,
                clock=time.time,  # noqa: TID251 -- the process's own clock, handed down from here
            )
        else:
            return
        self._sources[mapping.uuid] = source
        source.start()

    def _feed_of(self, stream_arn: str) -> StreamFeed:
        return self._feeds.setdefault(stream_arn, StreamFeed(self._streams, stream_arn))

    def _notify(self, arn: str, text: str) -> None:
        if arn.split(":")[2] == "sns":
            self._topics.publish(TopicArn=arn, Message=text)
        else:
            queue_url = self._queues.get_queue_url(QueueName=arn.split(":")[5])["QueueUrl"]
            self._queues.send_message(QueueUrl=queue_url, MessageBody=text)
