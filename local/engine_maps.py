"""Distributed maps of Step Functions, for the embedded engine, as AWS documents them.

The engine has them without a result writer, without what is given by a path or an expression, and with its items in the
parent's context. This is the whole state anew, on the engine's own parts for the states within it: each item is an
execution of its own, as many at once as the state allows, and its results lie in S3 under a manifest.

Of what AWS allows, it refuses batches of items.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]

THREAD_NAME = "step-functions"
"""Of the threads that items are at work in."""

_MOST_AT_ONCE = 256
"""Each item that is at work is a thread that waits. AWS would have 10,000."""

_OUTCOMES = ("SUCCEEDED", "FAILED", "PENDING")
"""What results are put apart by, in the manifest."""

_COUNTS = (
    *("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total"),
    *("resultsWritten", "failuresNotRedrivable", "pendingRedrive"),
)

_THRESHOLD = "States.ExceedToleratedFailureThreshold"


def run_distributed_map(
    state: Json, raw_input: Any, effective: Any, processor: Json, execution: Json, context: Json
) -> tuple[Any, str | None]:
    """Stands for the engine's own: the state's output, and the name of the next state."""
    from ministack.services import stepfunctions

    engine = parts_of(stepfunctions)
    if "ItemBatcher" in state:
        raise engine.ExecutionError("States.Runtime", "the embedded engine does not batch the items of a map")
    fields = Fields(engine, state, raw_input, effective, context)
    items = fields.items()
    run = MapRun(engine, fields, len(items), processor, execution)
    run.work(items)
    writer = state.get("ResultWriter") or {}
    details = run.write(fields.given(writer), writer.get("WriterConfig") or {}) if "Resource" in writer else None
    run.end()
    result: Any = details
    if details is None:
        config = {"Transformation": "COMPACT", **(writer.get("WriterConfig") or {})}
        result = list(shown(run.children, config["Transformation"]))
        if config.get("OutputType") == "JSONL":
            result = as_lines(result)
    return fields.output(result), engine.next_or_end(state)


def parts_of(service: ModuleType) -> SimpleNamespace:
    """What a module of the engine is made of, as it is now, its private names without the underscore."""
    return SimpleNamespace(**{name.removeprefix("_"): value for name, value in vars(service).items()})


class Fields:
    """What a state's fields say, in its query language."""

    def __init__(self, engine: Any, state: Json, raw_input: Any, effective: Any, context: Json) -> None:
        self._engine = engine
        self.state = state
        self._input = raw_input
        self._effective = effective
        self.context = context
        self._jsonata = engine.state_query_language(state, context) == "JSONata"

    def items(self) -> list[Any]:
        """What the map is over."""
        reader = self.state.get("ItemReader")
        if reader:
            resolved = {**reader, "Parameters": self.given(reader)}
            found = self._engine.read_map_items(resolved, self._effective, self.context)
        elif self._jsonata:
            found = self._evaluated(self.state.get("Items", self._input), self.context)
        else:
            found = self._at(self.state.get("ItemsPath", "$"))
        return found if isinstance(found, list) else [found]

    def number(self, name: str) -> float | None:
        """A field that is a number, or a path or an expression that leads to one; None where it is not there."""
        if f"{name}Path" in self.state:
            return float(self._at(self.state[f"{name}Path"]))
        if name not in self.state:
            return None
        return float(self._evaluated(self.state[name], self.context) if self._jsonata else self.state[name])

    def given(self, integration: Json) -> Json:
        """The arguments of what reads items or writes results."""
        given = integration.get("Arguments") or integration.get("Parameters") or {}
        resolved: Json = self._resolved(given, self.context)
        return resolved

    def selected(self, index: int, item: Any) -> Any:
        """The input of the execution for an item."""
        selector = self.state.get("ItemSelector") or self.state.get("Parameters")
        if not selector:
            return item
        return self._resolved(selector, {**self.context, "Map": {"Item": {"Index": index, "Value": item}}})

    def output(self, result: Any) -> Any:
        """The state's output."""
        engine, state = self._engine, self.state
        if self._jsonata:
            output = engine.apply_jsonata_output(state, self._input, self.context, result=result, default=result)
            engine.apply_state_assign(state, self._input, self.context, result=result)
            return output
        selected = engine.apply_result_selector(state, result)
        placed = engine.apply_result_path(state, self._input, selected)
        return engine.apply_output_path(state, placed, self.context)

    def _resolved(self, template: Any, context: Json) -> Any:
        if self._jsonata:
            return self._evaluated(template, context)
        return self._engine.resolve_params_obj(template, self._effective, context)

    def _evaluated(self, template: Any, context: Json) -> Any:
        return self._engine.apply_jsonata_template(template, self._input, context)

    def _at(self, path: str) -> Any:
        return self._engine.resolve_path_or_ctx(path, self._effective, self.context)


class MapRun:
    """One run of a distributed map.

    Attributes:
        children: The executions of its items, in their order; those that were never begun are `PENDING`.
    """

    def __init__(self, engine: Any, fields: Fields, total: int, processor: Json, execution: Json) -> None:
        self._engine = engine
        self._fields = fields
        self._processor = processor
        self._parent = execution
        self._lock = threading.Lock()
        self._exceeded = False
        self._percentage = fields.number("ToleratedFailurePercentage")
        self._count = fields.number("ToleratedFailureCount")
        self._at_once = int(fields.number("MaxConcurrency") or 0)
        machine = execution["stateMachineArn"]
        self._label = fields.state.get("Label") or engine.new_uuid()
        self._child_machine = f"{machine}/{self._label}"
        self._id = engine.new_uuid()
        self._arn = f"{machine.replace(':stateMachine:', ':mapRun:', 1)}/{self._label}:{self._id}"
        counts = {**dict.fromkeys(_COUNTS, 0), "total": total, "pending": total}
        self._record: Json = {
            "mapRunArn": self._arn,
            "executionArn": execution["executionArn"],
            "status": "RUNNING",
            "startDate": engine.now_iso(),
            "maxConcurrency": self._at_once,
            "toleratedFailurePercentage": self._percentage or 0.0,
            "toleratedFailureCount": int(self._count or 0),
            "itemCounts": counts,
            "executionCounts": dict(counts),
            "redriveCount": 0,
            "_stateMachineArn": self._child_machine,
        }
        engine.map_runs[self._arn] = self._record
        self.children: list[Json] = []

    def work(self, items: list[Any]) -> None:
        """Runs an execution for each item; begins none once its own was stopped, or too many of them failed."""
        children = [self._child(index, item) for index, item in enumerate(items)]
        self.children = children
        workers = min(self._at_once or _MOST_AT_ONCE, _MOST_AT_ONCE, len(children))
        queue = iter(children)
        at_once(workers, lambda: self._work_off(queue))

    def write(self, given: Json, config: Json) -> Json:
        """Puts the results into the bucket, and under them the manifest that the state's output names."""
        prefix = str(given.get("Prefix") or "").strip("/")
        folder = "/".join(part for part in (prefix, self._id) if part)
        files: dict[str, list[Json]] = {outcome: [] for outcome in sorted(_OUTCOMES)}
        for outcome in _OUTCOMES:
            children = [child for child in self.children if _outcome(child) == outcome]
            if children:
                key = f"{folder}/{outcome}_0.{'jsonl' if config.get('OutputType') == 'JSONL' else 'json'}"
                body = results_file(children, config)
                self._put(given["Bucket"], key, body)
                files[outcome].append({"Key": key, "Size": len(body)})
        manifest = {"DestinationBucket": given["Bucket"], "MapRunArn": self._arn, "ResultFiles": files}
        self._put(given["Bucket"], f"{folder}/manifest.json", json.dumps(manifest).encode())
        for counts in self._counts():
            counts["resultsWritten"] = len(self.children)
        return {
            "MapRunArn": self._arn,
            "ResultWriterDetails": {"Bucket": given["Bucket"], "Key": f"{folder}/manifest.json"},
        }

    def end(self) -> None:
        """Closes the run; an error where too many items failed."""
        stopped = self._parent["status"] != "RUNNING"
        self._record["status"] = "ABORTED" if stopped else "FAILED" if self._exceeded else "SUCCEEDED"
        self._record["stopDate"] = self._engine.now_iso()
        if self._exceeded:
            self._fail(_THRESHOLD, "The specified tolerated failure threshold was exceeded")

    def _child(self, index: int, item: Any) -> Json:
        name = self._engine.new_uuid()
        machine = self._child_machine.replace(":stateMachine:", ":execution:", 1)
        return {
            "executionArn": f"{machine}:{name}",
            "stateMachineArn": self._child_machine,
            "name": name,
            "status": "PENDING",
            "startDate": None,
            "stopDate": None,
            "input": json.dumps(self._fields.selected(index, item)),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "mapRunArn": self._arn,
            "events": [],
            "testCase": "",
            "mockAttempts": {},
        }

    def _work_off(self, children: Iterator[Json]) -> None:
        while True:
            with self._lock:
                if self._exceeded or self._parent["status"] != "RUNNING":
                    return
                child = next(children, None)
                if child is None:
                    return
                self._begin(child)
            self._run(child)
            with self._lock:
                self._finish(child)

    def _begin(self, child: Json) -> None:
        child.update(status="RUNNING", startDate=self._engine.now_iso())
        self._engine.executions[child["executionArn"]] = child
        for counts in self._counts():
            counts["pending"] -= 1
            counts["running"] += 1

    def _run(self, child: Json) -> None:
        given = json.loads(child["input"])
        context = {
            "QueryLanguage": self._fields.context.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": child["executionArn"],
                "Input": given,
                "Name": child["name"],
                "StartTime": child["startDate"],
            },
            "StateMachine": {"Id": self._child_machine, "Name": self._child_machine.rsplit(":", 1)[-1]},
            "variables": {},
        }
        states, start = self._processor.get("States", {}), self._processor.get("StartAt")
        try:
            output = self._engine.run_sub_machine(states, start, given, child, context)
            outcome = {"status": "SUCCEEDED", "output": json.dumps(output)}
        except self._engine.ExecutionError as error:
            outcome = {"status": "FAILED", "error": error.error, "cause": error.cause}
        except SystemExit:
            return  # It was stopped, and is recorded so.
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is this item's failure
            outcome = {"status": "FAILED", "error": "States.Runtime", "cause": str(error)}
        if child["status"] == "RUNNING":
            child.update(outcome)

    def _finish(self, child: Json) -> None:
        child["stopDate"] = child["stopDate"] or self._engine.now_iso()
        if child["status"] == "RUNNING":
            child["status"] = "ABORTED"
        for counts in self._counts():
            counts["running"] -= 1
            counts[child["status"].lower()] += 1
        failed, total = self._record["itemCounts"]["failed"], self._record["itemCounts"]["total"]
        if failed and self._too_many(failed, total):
            self._exceeded = True

    def _too_many(self, failed: int, total: int) -> bool:
        if self._percentage is None and self._count is None:
            return True
        by_count = self._count is not None and failed > self._count
        return by_count or (self._percentage is not None and failed * 100 > self._percentage * total)

    def _counts(self) -> tuple[Json, Json]:
        return self._record["itemCounts"], self._record["executionCounts"]

    def _put(self, bucket: str, key: str, body: bytes) -> None:
        from ministack import app

        headers = {"content-type": "application/json", "content-length": str(len(body))}
        answer = app.call_service_handler_sync(
            app.SERVICE_HANDLERS["s3"], "PUT", f"/{bucket}/{quote(key)}", headers, body, {}
        )
        if answer[0] >= 300:
            self._fail("States.ResultWriterFailed", f"s3://{bucket}/{key}: {answer[2]!r}")

    def _fail(self, error: str, cause: str) -> None:
        self._record["status"] = "FAILED"
        raise self._engine.ExecutionError(error, cause)


def at_once(threads: int, work: Callable[[], None]) -> None:
    """Runs `work` in so many threads, and returns when all are done. None of them keeps the process from ending."""
    started = [
        # The engine finds the account and the region of a request in its context.
        threading.Thread(target=contextvars.copy_context().run, args=(_named, work), daemon=True)
        for _ in range(threads)
    ]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def _named(work: Callable[[], None]) -> None:
    """Runs `work` in a thread that the system knows by a name, so that what it takes can be told from all else."""
    with contextlib.suppress(OSError):  # no such file but on Linux
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(THREAD_NAME, encoding="ascii")
    work()


def _outcome(child: Mapping[str, Any]) -> str:
    status = child["status"]
    return status if status in ("SUCCEEDED", "PENDING") else "FAILED"


def results_file(children: Iterable[Mapping[str, Any]], config: Mapping[str, Any]) -> bytes:
    """What results look like in a file."""
    results = list(shown(children, config.get("Transformation", "NONE")))
    return (as_lines(results) if config.get("OutputType") == "JSONL" else json.dumps(results)).encode()


def as_lines(results: Iterable[Any]) -> str:
    """JSON Lines."""
    return "".join(f"{json.dumps(result)}\n" for result in results)


def shown(children: Iterable[Mapping[str, Any]], transformation: str) -> Iterator[Any]:
    """Results in one of the three forms; what did not succeed has only the first."""
    for child in children:
        if transformation == "NONE" or child["status"] != "SUCCEEDED":
            yield execution_record(child)
            continue
        output = json.loads(child["output"])
        if transformation == "FLATTEN" and isinstance(output, list):
            yield from output
        else:
            yield output


def execution_record(child: Mapping[str, Any]) -> Json:
    """An execution as results tell of it, with all that is known."""
    status = child["status"]
    record = {
        "Cause": child.get("cause"),
        "Error": child.get("error"),
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "Output": child["output"],
        "OutputDetails": {"Included": True} if child["output"] is not None else None,
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "RedriveStatusReason": f"Execution is {status} and cannot be redriven",
        "StartDate": child["startDate"],
        "StateMachineArn": child["stateMachineArn"],
        "Status": status,
        "StopDate": child["stopDate"],
    }
    return {name: value for name, value in record.items() if value is not None}
