"""What is wrong with a workflow's definition, so that it is said at synthesis and not by an execution that hangs.

Step Functions itself accepts states that wait for ever, tasks that are done once where they were asked for twice, and
maps that start ten thousand tasks at once: of what it accepts, this allows what keeps the fleet's promises.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jsonschema_rs

from stacks.definitions import (
    JSONATA,
    OBJECTS,
    ORDER,
    READERS,
    WRITER,
    Definition,
    State,
    substitution_names,
)
from stacks.settings_rules import no_such_lane, one_of

BUCKET = "${workflows_bucket}"

_TYPES = ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
_ENDS = ("Succeed", "Fail")

_ACCOUNT_ARN = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:[^\s\"]*")

_ORDER_NEEDS = {
    "workflow": "the run it belongs to",
    "state": "its own name and how often it was retried",
    "token": "what it is answered by",
    "agent": "who does the task",
    "input": "the task's input",
}
_ORDER_MAY_HAVE = ("lane", "session", "max_attempts", "timeout_seconds")

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Mistake(NamedTuple):
    """What is wrong, and with which state; with the file as a whole where that is None."""

    state: str | None
    message: str

    def told(self, definition: Definition) -> str:
        """With the place in the file."""
        where = f"statemachines/{definition.file}"
        if self.state is None:
            return f"{where}: {self.message}"
        line = definition.line(self.state)
        return f"{where}{f', line {line}' if line else ''}, state {self.state!r}: {self.message}"


def mistakes(definition: Definition, lanes: Mapping[str, Any]) -> Iterator[Mistake]:
    """All mistakes that can be seen without knowing which agents there are.

    Args:
        definition: Of a workflow.
        lanes: Of the fleet, by name.
    """
    for key in definition.repeated:
        yield Mistake(None, f"{key!r} stands twice in one object, and the first of them would be dropped")
    yield from _schema_mistakes(definition)
    yield from _text_mistakes(definition, lanes)
    yield from _machine_mistakes(definition.document, None)
    for name, times in Counter(state.name for state in definition.states).items():
        if times > 1:
            yield Mistake(name, f"{times} states have this name; a step is known by its name, so each needs its own")
    for state in definition.states:
        yield from _state_mistakes(state, definition)


def agent_mistakes(definition: Definition, agents: Iterable[str]) -> Iterator[Mistake]:
    """States that ask for agents that are not deployed."""
    names = list(agents)
    for step in definition.steps:
        if step.agent is not None and step.agent not in names:
            yield Mistake(step.name, f"no agent is named {step.agent!r}; {one_of(step.agent, names)}")


def timeout_mistakes(
    definition: Definition, agents: Mapping[str, Any], longest_seconds: Mapping[str, int], default_lane: str
) -> Iterator[Mistake]:
    """States that put an agent on a lane whose invocations are too short for it.

    Args:
        definition: Of a workflow.
        agents: As they are deployed, by name.
        longest_seconds: What the agents of each lane may take.
        default_lane: Of the fleet.
    """
    for state in definition.states:
        agent = agents.get(str(state.said("agent"))) if state.orders else None
        if agent is None:
            continue
        for lane in sorted(state.lanes(default_lane)):
            if agent["timeout_seconds"] > longest_seconds[lane]:
                yield Mistake(
                    state.name,
                    f"{state.said('agent')!r} may take {agent['timeout_seconds']:g} seconds, and lane {lane!r} has "
                    f"{longest_seconds[lane]} for an agent: raise lanes.{lane}.timeout_seconds or choose another lane",
                )


def _schema_mistakes(definition: Definition) -> Iterator[Mistake]:
    if definition.input_schema is None:
        return
    try:
        jsonschema_rs.validator_for(dict(definition.input_schema))
    except (jsonschema_rs.ValidationError, ValueError) as error:
        problem = str(error).splitlines()[0]
        yield Mistake(None, f"the schema of its input, beside it, is no JSON schema: {problem}")


def _text_mistakes(definition: Definition, lanes: Mapping[str, Any]) -> Iterator[Mistake]:
    known = substitution_names(lanes)
    for name in definition.substitutions:
        if name.startswith("lane_") and name not in known:
            yield Mistake(None, f"${{{name}}}: {no_such_lane(name.removeprefix('lane_'), lanes)}")
        elif name not in known:
            yield Mistake(None, f"${{{name}}} stands for nothing; {one_of(name, known)}")
    for arn in dict.fromkeys(_ACCOUNT_ARN.findall(definition.text)):
        yield Mistake(None, f"{arn} is of one account; use {', '.join(f'${{{name}}}' for name in known)}")


def _machine_mistakes(machine: Mapping[str, Any], inside: str | None) -> Iterator[Mistake]:
    """Of the definition, or of a machine within state `inside`: that each of its states is reached and leads on."""
    states = machine.get("States")
    if not isinstance(states, Mapping) or not states:
        yield Mistake(inside, "has no States")
        return
    start = machine.get("StartAt")
    if start is None:
        yield Mistake(inside, f"has no StartAt; {one_of('', states)}")
        return
    reached = {start}
    if start not in states:
        yield Mistake(inside, f"begins with {start!r} (StartAt), which is none of its states; {one_of(start, states)}")
        reached = set(states)
    for name, body in states.items():
        if not isinstance(body, Mapping):
            yield Mistake(name, "must be an object")
            continue
        for target in _targets(body):
            reached.add(target)
            if target not in states:
                yield Mistake(name, f"goes on with {target!r}, which is no state beside it; {one_of(target, states)}")
    for name in states:
        if name not in reached:
            yield Mistake(name, "is reached from no other state")


def _targets(body: Mapping[str, Any]) -> list[str]:
    given = [body.get("Next"), body.get("Default")]
    for rules in (body.get("Catch"), body.get("Choices")):
        given += [rule.get("Next") for rule in rules if isinstance(rule, Mapping)] if isinstance(rules, list) else []
    return [target for target in given if isinstance(target, str)]


def _state_mistakes(state: State, definition: Definition) -> Iterator[Mistake]:
    kind = state.body.get("Type")
    if kind not in _TYPES:
        yield Mistake(state.name, f"Type {kind!r} is not allowed; {one_of(str(kind), _TYPES)}")
        return
    if kind not in (*_ENDS, "Choice") and ("Next" in state.body) == ("End" in state.body):
        yield Mistake(state.name, "needs one of Next and End")
    if state.language != JSONATA and definition.document.get("QueryLanguage") == JSONATA:
        yield Mistake(state.name, "cannot be JSONPath in a definition that is JSONata; the other way round it may be")
    match kind:
        case "Task":
            yield from _task_mistakes(state)
        case "Parallel":
            for branch in _machines(state.body.get("Branches")):
                yield from _machine_mistakes(branch, state.name)
        case "Map":
            yield from _map_mistakes(state)


def _machines(given: Any) -> list[Mapping[str, Any]]:
    return [each if isinstance(each, Mapping) else {} for each in given] if isinstance(given, list) else [{}]


def _task_mistakes(state: State) -> Iterator[Mistake]:
    resource = state.body.get("Resource")
    if resource != ORDER:
        yield Mistake(state.name, f"Resource {resource!r} is not allowed; allowed: {ORDER}, to ask an agent for a task")
        return
    if "HeartbeatSeconds" in state.body:
        yield Mistake(state.name, "cannot have HeartbeatSeconds: workers send no heartbeats; use TimeoutSeconds")
    yield from _time_mistakes(state)
    yield from _queue_mistakes(state)
    order = state.order
    for member, meaning in _ORDER_NEEDS.items():
        if member not in order:
            yield Mistake(state.name, f"MessageBody needs {member!r}, {meaning}")
    for member in order:
        if member not in _ORDER_NEEDS and member not in _ORDER_MAY_HAVE:
            allowed = one_of(member, [*_ORDER_NEEDS, *_ORDER_MAY_HAVE])
            yield Mistake(state.name, f"MessageBody has {member!r}, which no worker reads; {allowed}")


def _time_mistakes(state: State) -> Iterator[Mistake]:
    seconds = state.body.get("TimeoutSeconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 1:
        yield Mistake(
            state.name,
            "needs TimeoutSeconds, a whole number: a task whose answer is lost would otherwise hold the run for a year",
        )
        return
    of_task = state.said("timeout_seconds")
    if isinstance(of_task, int) and of_task >= seconds:
        yield Mistake(
            state.name,
            f"its task has {of_task} s (timeout_seconds), which must be less than its TimeoutSeconds of {seconds}: "
            "else the run goes on while the task may still be done",
        )


def _queue_mistakes(state: State) -> Iterator[Mistake]:
    arguments = state.arguments
    queue = str(arguments.get("QueueUrl"))
    if "${lane_" not in queue and "${default_lane}" not in queue:
        yield Mistake(state.name, "QueueUrl must be ${lane_<name>} or ${default_lane}")
    if "MessageGroupId" not in arguments:
        yield Mistake(state.name, "needs MessageGroupId: a lane is a FIFO queue")
    deduplication = str(arguments.get("MessageDeduplicationId", ""))
    if "Task.Token" not in deduplication or "RetryCount" not in deduplication:
        yield Mistake(
            state.name,
            "MessageDeduplicationId must be made of Task.Token and State.RetryCount: what a retry asks for would "
            "otherwise be taken for the first task",
        )


def _map_mistakes(state: State) -> Iterator[Mistake]:
    processor = state.body.get("ItemProcessor")
    if not isinstance(processor, Mapping):
        yield Mistake(state.name, "needs ItemProcessor")
        return
    yield from _machine_mistakes(processor, state.name)
    if state.distributed:
        yield from _distributed_mistakes(state, processor["ProcessorConfig"])
    elif named := [name for name in ("ItemReader", "ResultWriter") if name in state.body]:
        yield Mistake(state.name, f"{' and '.join(named)} need ProcessorConfig.Mode DISTRIBUTED")


def _distributed_mistakes(state: State, config: Mapping[str, Any]) -> Iterator[Mistake]:
    if config.get("ExecutionType") != "STANDARD":
        yield Mistake(state.name, "needs ProcessorConfig.ExecutionType STANDARD: no other can wait for tasks")
    if not any(key in state.body for key in ("MaxConcurrency", "MaxConcurrencyPath")) or _is_unbounded(state):
        yield Mistake(state.name, "needs MaxConcurrency, at least 1: without it 10,000 items are begun at once")
    if state.body.get("Label") != state.name or not _LABEL.fullmatch(state.name):
        yield Mistake(
            state.name,
            "needs a Label that is its own name, of letters, digits, - and _, at most 40: its progress is known by it",
        )
    selector = state.body.get("ItemSelector")
    members = {key.removesuffix(".$") for key in selector} if isinstance(selector, Mapping) else set()
    if "workflow" not in members:
        yield Mistake(state.name, "ItemSelector needs 'workflow', the run, for the tasks of its items to belong to it")
    yield from _object_mistakes(state, "ItemReader", tuple(READERS), "Key")
    yield from _object_mistakes(state, "ResultWriter", (WRITER,), "Prefix")


def _is_unbounded(state: State) -> bool:
    most = state.body.get("MaxConcurrency")
    return isinstance(most, int | float) and most < 1


def _object_mistakes(state: State, name: str, allowed: tuple[str, ...], key: str) -> Iterator[Mistake]:
    """Of what reads a map's items, or writes its results."""
    given = state.body.get(name)
    if given is None:
        return
    if not isinstance(given, Mapping) or given.get("Resource") not in allowed:
        yield Mistake(state.name, f"{name}.Resource is not allowed; allowed: {', '.join(allowed)}")
        return
    arguments = given.get("Arguments") or given.get("Parameters") or {}
    if arguments.get("Bucket") != BUCKET:
        yield Mistake(state.name, f"{name} must use the bucket {BUCKET}; the workflow may reach no other")
    said = arguments.get(key, arguments.get("Prefix"))
    if isinstance(said, str) and not said.startswith((OBJECTS, "{%")):
        yield Mistake(state.name, f"{name}: {key} must begin with {OBJECTS!r}; the workflow may reach nothing else")
