"""What has to be changed inside MiniStack's Step Functions, each change with the reason why nothing outside can do it.

AWS's documentation decides. Where the engine does otherwise and a workflow would notice, it is changed here; what stays
different, as no workflow of ours depends on it:

- No execution times out, and none is redriven. What bounds a run in time are its tasks and its states.
- A state keeps its token when it is retried; on AWS each try has one of its own.
- Retries wait for a minute at the most, without jitter.
- An execution that runs as the engine stops has failed when it starts again, and nobody is told: the reconciler
  records it. The news of an execution's end is given to a function once; the reconciler again.
- Items are not batched, and 256 of a map at once are the most.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any, Self

from local.engine_maps import parts_of, run_distributed_map

Json = dict[str, Any]

_EXPRESSION_MILLISECONDS = 30_000

_current: contextvars.ContextVar[Json | None] = contextvars.ContextVar("flotilla_execution", default=None)
"""The execution whose task this thread is at."""


class Stopped(SystemExit):
    """The execution was ended from outside. Ends the thread that meets it, past every `Retry` and `Catch`."""


def apply() -> None:
    """Applies all changes; call once, before the engine serves."""
    from ministack.services import stepfunctions

    waiting = Waiting(parts_of(stepfunctions))
    _start_an_execution_once(stepfunctions)
    _stop_all_of_an_execution(stepfunctions, waiting)
    _keep_branches_apart(stepfunctions)
    _give_expressions_time(stepfunctions)
    _send_from_the_loop(stepfunctions)
    vars(stepfunctions).update(_run_distributed_map=run_distributed_map, ThreadPoolExecutor=Pool)


def _start_an_execution_once(service: ModuleType) -> None:
    """An execution that is started again while it runs, with the same input, is the same execution.

    The engine refuses it as if it had ended: whoever lost the first answer could not tell that it was started.
    """
    engine = parts_of(service)
    start = engine.start_execution

    def start_or_find(data: Json) -> Any:
        machine = str(data.get("stateMachineArn", ""))
        arn = f"{machine.replace(':stateMachine:', ':execution:', 1)}:{data.get('name')}"
        found = engine.executions.get(arn)
        if found and found["status"] == "RUNNING" and found["input"] == data.get("input", "{}"):
            return engine.json_response({"executionArn": arn, "startDate": found["startDate"]})
        return start(data)

    vars(service)["_start_execution"] = start_or_find


class Waiting:
    """The tokens that states wait for, and in which execution."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._executions: dict[str, str] = {}

    def wait(self, token: str, execution: str, invoke: Callable[[], Any]) -> Any:
        """As `invoke`, which waits for the token; until the execution is left."""
        self._executions[token] = execution
        try:
            return invoke()
        finally:
            self._executions.pop(token, None)

    def leave(self, executions: set[str]) -> None:
        """Has the states of these executions wait no longer."""
        for token, execution in list(self._executions.items()):
            info = self._engine.task_tokens.get(token) if execution in executions else None
            if info is not None:
                info["error"] = {"Error": "States.Aborted", "Cause": "the execution was stopped"}
                info["event"].set()


def _stop_all_of_an_execution(service: ModuleType, waiting: Waiting) -> None:
    """An execution that was stopped begins no further state, in none of its branches and items.

    In the engine these go on as if nothing had happened, and ask for tasks that nobody waits for; and the threads that
    wait for answers wait until their states time out.
    """
    engine = parts_of(service)

    def stop_all(data: Json) -> Any:
        answer = engine.stop_execution(data)
        arn = data.get("executionArn")
        stopped = engine.executions.get(arn)
        if stopped and stopped["status"] == "ABORTED":
            runs = {run["mapRunArn"] for run in engine.map_runs.values() if run["executionArn"] == arn}
            children = [each for each in engine.executions.values() if each.get("mapRunArn") in runs]
            for child in children:
                if child["status"] == "RUNNING":
                    child.update(status="ABORTED", stopDate=engine.now_iso())
            waiting.leave({str(arn), *(child["executionArn"] for child in children)})
        return answer

    def execute_unless_stopped(state: Json, raw_input: Any, execution: Json, context: Json) -> Any:
        _go_on(execution)
        known = _current.set(execution)
        try:
            return engine.execute_task(state, raw_input, execution, context)
        finally:
            _current.reset(known)

    def invoke_unless_stopped(resource: str, given: Any, token: str, state: Json) -> Any:
        execution = _current.get()
        if execution is None:
            return engine.invoke_with_callback(resource, given, token, state)
        _go_on(execution)
        return waiting.wait(
            token, execution["executionArn"], lambda: engine.invoke_with_callback(resource, given, token, state)
        )

    def fail_what_runs(execution: Json, error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            engine.fail_execution(execution, error, cause)

    vars(service).update(
        _stop_execution=stop_all,
        _execute_task=execute_unless_stopped,
        _invoke_with_callback=invoke_unless_stopped,
        _fail_execution=fail_what_runs,
    )


def _go_on(execution: Json) -> None:
    if execution["status"] != "RUNNING":
        raise Stopped


def _keep_branches_apart(service: ModuleType) -> None:
    """Branches and items have variables and a state of their own, and of those around them a copy.

    In the engine the branches of a Parallel state share both: one that waits for a token may be given another's, and
    is never answered.
    """
    run = parts_of(service).run_sub_machine

    def run_apart(states: Json, start: str, given: Any, execution: Json, context: Json) -> Any:
        apart = {**context, "variables": dict(context.get("variables", {}))}
        return run(states, start, given, execution, apart)

    vars(service)["_run_sub_machine"] = run_apart


def _give_expressions_time(service: ModuleType) -> None:
    """An expression may take longer than the second that AWS gives it: here all of AWS shares a few processors."""
    package = parts_of(service).jsonata

    def parsed(text: str, timeout: int | None = None) -> Any:
        return package.Jsonata.jsonata(text, timeout=None if timeout is None else _EXPRESSION_MILLISECONDS)

    vars(service)["jsonata"] = SimpleNamespace(utils=package.utils, Jsonata=SimpleNamespace(jsonata=parsed))


def _send_from_the_loop(service: ModuleType) -> None:
    """A state's message is put on its queue where those of all others are: on the loop that serves requests.

    The engine does it on the execution's own thread, while the loop tidies the queue: it puts the messages into a new
    list, and what is added to the old one meanwhile is lost, and with it the answer that the state waits for.
    """
    engine = parts_of(service)
    start, send = engine.start_execution, engine.invoke_sqs_send_message
    loops: list[asyncio.AbstractEventLoop] = []

    def start_and_know_the_loop(data: Json) -> Any:
        if not loops:
            with contextlib.suppress(RuntimeError):  # an execution that another one starts, on a thread of its own
                loops.append(asyncio.get_running_loop())
        return start(data)

    def send_from_the_loop(resource: str, given: Any) -> Any:
        sent: Future[Any] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                sent.set_result(context.run(send, resource, given))
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is the state's to deal with
                sent.set_exception(error)

        loops[0].call_soon_threadsafe(work)
        return sent.result()

    vars(service)["_start_execution"] = start_and_know_the_loop
    dispatch = engine.SERVICE_DISPATCH
    dispatch.update({name: send_from_the_loop for name, handler in dispatch.items() if handler is send})


class Pool:
    """Stands for `ThreadPoolExecutor`: its threads do not keep the engine from ending.

    The items of a map that wait for a task wait for hours, and the interpreter would wait for them.
    """

    def __init__(self, max_workers: int) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._most = max_workers
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.shutdown()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """As that of `ThreadPoolExecutor`."""
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001 -- whoever waits for it is told, whatever it is
                future.set_exception(error)

        self._work.put(work)
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._run, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Lets the threads end once there is nothing left to do."""
        for _ in self._threads:
            self._work.put(_end_thread)
        for thread in self._threads if wait and not cancel_futures else ():
            thread.join()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is _end_thread:
                return
            work()


def _end_thread() -> None:
    """Never called: it is known by what it is."""
