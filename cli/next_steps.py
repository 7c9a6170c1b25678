"""The lines under the demo's table: what to type next, ready to be pasted into a shell."""

from __future__ import annotations

import json
import shlex

from cli.connection import KEY_VARIABLE, URL_VARIABLE, Connection

_TEXT = "The lease ends on 1 March 2027."


def next_steps(connection: Connection, agent: str, task_id: str | None, python: str) -> str:
    """The lines.

    Args:
        connection: The deployment. Its key is shown only where it opens nothing but the local engine.
        agent: The agent that the demo used.
        task_id: One of the demo's tasks, if any succeeded.
        python: The interpreter to run the command with.
    """
    if connection.from_environment:
        exports = [f'API="${{{URL_VARIABLE}%/}}"', f'KEY="${KEY_VARIABLE}"', f'OPERATOR_KEY="${KEY_VARIABLE}"']
    else:
        exports = [
            f"API={_quoted(connection.api_url)}",
            f"KEY={_quoted(connection.api_key)}",
            f"OPERATOR_KEY={_quoted(connection.operator_key)}",
        ]
    python = shlex.quote(python)
    sections = [
        [f"export {each}" for each in exports],
        [
            "# Submit and wait for the result. Paste it twice: the second answer is the",
            "# first one's task, replayed.",
            'curl -si "$API/v1/tasks" -H "Authorization: Bearer $KEY" \\',
            "  -H 'Content-Type: application/json' \\",
            "  -H 'Prefer: wait=20' -H 'Idempotency-Key: first-try' \\",
            f'  -d \'{{"agent": {json.dumps(agent)},',
            f'       "input": {{"text": {json.dumps(_TEXT)}}}}}\'; echo',
        ],
    ]
    if task_id is not None:
        sections += [
            ["# One of the tasks above", *_get(f"/v1/tasks/{task_id}", "KEY", python)],
            ["# Its log, each event chained to the one before", *_get(f"/v1/tasks/{task_id}/events", "KEY", python)],
        ]
    sections += [
        ["# The agents, with the schemas that inputs are checked against", *_get("/v1/agents", "OPERATOR_KEY", python)],
        [
            "# The same without curl",
            f"{python} -m cli submit {agent} text=@README.md --wait",
            f"{python} -m cli --help",
        ],
    ]
    blocks = ["\n".join(f"  {line}" for line in lines) for lines in sections]
    return "\n\n".join(["What to try next", *blocks]) + "\n"


def _get(path: str, key: str, python: str) -> list[str]:
    return [f'curl -s "$API{path}" \\', f'  -H "Authorization: Bearer ${key}" | {python} -m json.tool']


def _quoted(value: str) -> str:
    """In single quotes, where a shell leaves `$` alone."""
    return "'" + value.replace("'", "'\"'\"'") + "'"
