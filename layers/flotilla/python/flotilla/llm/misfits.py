"""What is wrong with a value, in words that help a model to do better."""

from __future__ import annotations

from pydantic import ValidationError

_MOST = 20


def misfits(error: ValidationError) -> str:
    """One line for each thing that is wrong: where (a JSON Pointer) and what; the first 20 of them.

    The values themselves are not repeated: whoever reads this wrote them.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"- {pointer(each['loc']) or 'the whole'}: {each['msg']}" for each in found[:_MOST]]
    if len(found) > _MOST:
        lines.append(f"- and {len(found) - _MOST} more")
    return "\n".join(lines)


def pointer(location: tuple[int | str, ...]) -> str:
    """A place in a JSON value, by RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
