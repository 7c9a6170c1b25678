"""A model that does what it is told, so that a test can say what it will answer; and how two protocols say so.

    tools are declared, and the last turn names some of them     it calls those, with examples of their input
    the last turn holds results of tools                         text: the results
    a form is asked for, however it is asked for                 an example of it, as JSON
    else                                                         text: how many words it was told

It answers with no more words than it may. A token is a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model answers.

    Attributes:
        calls: Tools it wants called: name and input.
        stop: `end`, `tools`, `length` or `filtered`.
        cached: Of `read` words those that it had kept from before.
    """

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    stop: str = "end"
    read: int = 10
    written: int = 5
    cached: int = 0

    def openai(self, model: str = "") -> dict[str, Any]:
        """As a chat completion."""
        reasons = {"end": "stop", "tools": "tool_calls", "length": "length", "filtered": "content_filter"}
        calls = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for number, (name, given) in enumerate(self.calls)
        ]
        message = {"role": "assistant", "content": self.text or None} | ({"tool_calls": calls} if calls else {})
        return {
            "id": f"chatcmpl-{self.read}",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [{"index": 0, "finish_reason": reasons[self.stop], "message": message}],
            "usage": {
                "prompt_tokens": self.read,
                "completion_tokens": self.written,
                "total_tokens": self.read + self.written,
                "prompt_tokens_details": {"cached_tokens": self.cached},
            },
        }

    def converse(self) -> dict[str, Any]:
        """As an answer of Bedrock's Converse."""
        reasons = {"end": "end_turn", "tools": "tool_use", "length": "max_tokens", "filtered": "content_filtered"}
        text: list[dict[str, Any]] = [{"text": self.text}] if self.text else []
        uses = [
            {"toolUse": {"toolUseId": f"tooluse_{number}", "name": name, "input": given}}
            for number, (name, given) in enumerate(self.calls)
        ]
        usage = {
            "inputTokens": self.read - self.cached,
            "outputTokens": self.written,
            "totalTokens": self.read + self.written,
            "cacheReadInputTokens": self.cached,
        }
        return {
            "output": {"message": {"role": "assistant", "content": [*text, *uses]}},
            "stopReason": reasons[self.stop],
            "usage": usage,
            "metrics": {"latencyMs": 1},
        }


@dataclass(slots=True)
class Asked:
    """What a request asks, whatever its protocol.

    Attributes:
        texts: All of them, the system's too.
        last: What the last turn says.
        results: Of tools, since the model's last turn.
        tools: Name → schema of the input.
        form: Schema of the answer.
        form_tool: The tool that stands for the form.
    """

    texts: list[str] = field(default_factory=list)
    last: str = ""
    results: list[Any] = field(default_factory=list)
    tools: dict[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] | None = None
    form_tool: str | None = None
    most: int | None = None


def asked_of_openai(body: Mapping[str, Any]) -> Asked:
    """Reads a request for a chat completion."""
    asked = Asked(most=body.get("max_tokens", body.get("max_completion_tokens")))
    for message in body.get("messages", []):
        content = message.get("content") or ""
        asked.texts.append(str(content))
        if message["role"] == "tool":
            asked.results.append(content)
        elif message["role"] == "assistant":
            asked.results = []
        else:
            asked.last = str(content)
    asked.tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools", [])}
    form = body.get("response_format", {}).get("json_schema")
    asked.form = form["schema"] if form else _form_in_words(asked.texts)
    return asked


def asked_of_converse(body: Mapping[str, Any]) -> Asked:
    """Reads a request of Bedrock's Converse."""
    asked = Asked(most=body.get("inferenceConfig", {}).get("maxTokens"))
    asked.texts = [block["text"] for block in body.get("system", [])]
    for message in body["messages"]:
        blocks = message["content"]
        asked.last = " ".join(block["text"] for block in blocks if "text" in block)
        asked.results = [_only(block["toolResult"]["content"][0]) for block in blocks if "toolResult" in block]
        asked.texts += [asked.last, *map(str, asked.results)]
    config = body.get("toolConfig", {})
    asked.tools = {
        tool["toolSpec"]["name"]: tool["toolSpec"]["inputSchema"]["json"] for tool in config.get("tools", [])
    }
    if choice := config.get("toolChoice"):
        # The last tool stands for the form.
        asked.form_tool = choice["tool"]["name"] if "tool" in choice else list(asked.tools)[-1]
        asked.form = asked.tools.pop(asked.form_tool)
        return asked
    constraint = body.get("outputConfig", {}).get("textFormat")
    schema = json.loads(constraint["structure"]["jsonSchema"]["schema"]) if constraint else None
    asked.form = schema or _form_in_words(asked.texts)
    return asked


def _only(content: Mapping[str, Any]) -> Any:
    (value,) = content.values()
    return value


def _form_in_words(texts: list[str]) -> Any:
    for text in texts:
        if "JSON Schema" in text:
            found, _ = json.JSONDecoder().raw_decode(text[text.index("{", text.index("JSON Schema")) :])
            return found
    return None


def answer(asked: Asked) -> Answer:
    """What the model answers."""
    read = sum(len(_WORD.findall(text)) for text in asked.texts)
    named = [name for name in asked.tools if not asked.results and re.search(rf"\b{re.escape(name)}\b", asked.last)]
    if named:
        calls = tuple((name, example(asked.tools[name])) for name in named)
        return Answer(calls=calls, stop="tools", read=read, written=len(calls))
    if asked.form is not None and asked.form_tool is not None:
        return Answer(calls=((asked.form_tool, example(asked.form)),), stop="tools", read=read, written=1)
    if asked.form is not None:
        text = json.dumps(example(asked.form))
    elif asked.results:
        text = "results: " + " ".join(each if isinstance(each, str) else json.dumps(each) for each in asked.results)
    else:
        text = f"{read} words"
    return _bounded(text, read, asked.most)


def _bounded(text: str, read: int, most: int | None) -> Answer:
    words = list(_WORD.finditer(text))
    if most is not None and len(words) > most:
        return Answer(text[: words[most - 1].end()], stop="length", read=read, written=most)
    return Answer(text, read=read, written=len(words))


def example(schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None) -> Any:
    """A value that fits a schema, always the same; bounds of texts and numbers are not kept."""
    definitions = schema.get("$defs", definitions or {})
    if "$ref" in schema:
        return example(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "const" in schema:
        return schema["const"]
    for several in ("enum", "anyOf", "oneOf"):
        if several in schema:
            first = schema[several][0]
            return first if several == "enum" else example(first, definitions)
    match schema.get("type"):
        case "object":
            return dict(_members(schema, definitions))
        case "array":
            return [example(schema.get("items", {}), definitions)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "text"


def _members(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, each in schema.get("properties", {}).items():
        yield name, example(each, definitions)
