"""One name for failures that are alike.

A cause is an error's code and message with everything taken out that differs from task to task:
ids, numbers, times, addresses, quoted values. Decides nothing about the failure; it only names it.
"""

from __future__ import annotations

import hashlib
import re

from flotilla.read_model import Cause, UnreadableMessage

MAX_TEXT_CHARACTERS = 200
FINGERPRINT_DIGITS = 16

_READ_CHARACTERS = 2000
"""No more of a message is looked at: what tells failures apart stands at their beginning."""

_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"

# In this order: what may hold another comes before it. Each begins where no longer word could have begun,
# so that a hostile message costs no more than a friendly one.
_PLACEHOLDERS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), placeholder)
    for pattern, placeholder in [
        (r"(?<![\w.+-])[A-Za-z][A-Za-z0-9.+-]*://[^\s\"'`<>)\]}]+", "<url>"),
        # An apostrophe within a word opens nothing, nor does one behind it.
        (r"(?<!\w)\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|[“„][^“”]*[“”]|«[^»]*»", "<text>"),
        (r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<email>"),
        (rf"(?<!\d)\d{{4}}-\d{{2}}-\d{{2}}(?:[Tt ]{_CLOCK}(?: ?(?:[Zz]|UTC|GMT|[+-]\d{{2}}:?\d{{2}}))?)?", "<time>"),
        (rf"(?<!\w){_DAY},? \d{{1,2}}[ -][A-Z][a-z]{{2}}[ -]\d{{2,4}} {_CLOCK}(?: (?:GMT|UTC|[+-]\d{{4}}))?", "<time>"),
        (r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])", "<id>"),
        (r"(?<![\w<:/\\])[A-Za-z]:\\[^\s:;,)\]}]+", "<path>"),
        (r"(?<![\w<>/.~])(?:~|\.{1,2})?(?:/[\w.@+~%=-]+)+/?", "<path>"),
        (r"(?<![\w./-])[\w.-]+(?:/[\w.-]+){2,}", "<path>"),
        (r"(?<![A-Za-z0-9])(?:\d+\.\d+[eE][+-]?|\d+[eE][+-])\d+(?![A-Za-z0-9])", "<n>"),
        (r"(?<![A-Za-z0-9])0[xX][0-9A-Fa-f]+", "<id>"),
        (r"(?<![A-Za-z0-9])(?=[A-Fa-f]*\d)(?=\d*[A-Fa-f])[0-9A-Fa-f]{6,}(?![A-Za-z0-9])", "<id>"),
        (r"(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{16,}(?![A-Za-z0-9])", "<id>"),
        (r"\d+(?:[.,:]\d+)*", "<n>"),
        # How many there were differs from task to task as well.
        (r"(<[a-z]+>)(?:[,;]? ?\1)+", r"\1"),
        (r"\s+", " "),
    ]
]


def cause_of(agent: str, code: str, message: str) -> Cause:
    """The cause that a failure of `agent` is counted under.

    Args:
        agent: Two agents' failures are never one cause.
        code: The error's stable name; kept as it is.
        message: The error's own words.
    """
    text = code if not message.strip() else f"{code}: {_without_particulars(message)}"
    text = text[:MAX_TEXT_CHARACTERS].rstrip()
    digest = hashlib.sha256(f"{agent}\0{text}".encode(errors="replace")).hexdigest()
    return Cause(digest[:FINGERPRINT_DIGITS], text)


def unreadable_cause(message: UnreadableMessage) -> Cause:
    """What messages that stand for no task are counted under."""
    return cause_of("", "unreadable", message.reason)


def _without_particulars(message: str) -> str:
    text = message[:_READ_CHARACTERS]
    for pattern, placeholder in _PLACEHOLDERS:
        text = pattern.sub(placeholder, text)
    return text.strip()
