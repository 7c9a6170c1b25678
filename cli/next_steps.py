"""The lines under the demo's table: what to type next, ready to be pasted into a shell."""

from __future__ import annotations

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
        api, key = f'"${{{URL_VARIABLE}%/}}"', f'"${KEY_VARIABLE}"'
    else:
        api, key = _quoted(connection.api_url), _quoted(connection.api_key)
    python = shlex.quote(python)
    read = f' \\\n  -H "Authorization: Bearer $KEY" | {python} -m json.tool'
    sections = [
        f"export API={api}\nexport KEY={key}",
        "# Submit and wait for the result. Paste it twice: the second answer is the\n"
        "# first one's task, replayed.\n"
        'curl -si "$API/v1/tasks" -H "Authorization: Bearer $KEY" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        "  -H 'Prefer: wait=20' -H 'Idempotency-Key: first-try' \\\n"
        f"  -d '{{\"agent\": \"{agent}\", \"input\": {{\"text\": \"{_TEXT}\"}}}}'; echo",
    ]
    if task_id is not None:
        sections += [
            f'# One of the tasks above\ncurl -s "$API/v1/tasks/{task_id}"{read}',
            f'# Its log, each event chained to the one before\ncurl -s "$API/v1/tasks/{task_id}/events"{read}',
        ]
    sections += [
        f'# The agents, with the schemas that inputs are checked against\ncurl -s "$API/v1/agents"{read}',
        f"# The same without curl\n{python} -m cli submit {agent} text=@README.md --wait\n{python} -m cli --help",
    ]
    body = "\n\n".join(sections)
    return "What to try next\n\n" + "".join(f"  {line}\n" if line else "\n" for line in body.split("\n"))


def _quoted(value: str) -> str:
    """In single quotes, where a shell leaves `$` alone."""
    return "'" + value.replace("'", "'\"'\"'") + "'"
