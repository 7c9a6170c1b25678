"""The page behind a link to a decision: what is asked, two buttons, and afterwards what was decided.

Invariant: whatever agents and clients wrote is text here and never markup; the page loads nothing, runs nothing, can be
framed by nobody, and sends its form nowhere but back.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

from flotilla.clock import rfc3339
from flotilla.services.decisions import Ending, Outcome, Question
from functions.api.gateway import HTML_TYPE, Response

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; color: #1c2127; }
h1 { font-size: 1.4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { color: #5c6470; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: #f2f4f6; padding: 1rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
button { font: inherit; padding: .5rem 1.5rem; margin-right: .75rem; border: 1px solid #5c6470; border-radius: .3rem; }
button[value=approve] { background: #1d6f42; border-color: #1d6f42; color: #fff; }
button[value=deny] { background: #fff; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    # Not `no-referrer`, with which browsers send `Origin: null` along with the form: then the page's own could not be
    # told from a stranger's. The address, which is as good as the decision, is given to nobody else either way.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
}

_HOW_IT_ENDED = {
    Ending.APPROVED: "Approved, recorded at {at}.",
    Ending.DENIED: "Denied, recorded at {at}.",
    Ending.SIGNALLED: "Answered otherwise than by yes or no, recorded at {at}.",
    Ending.CANCELLED: "The task was cancelled at {at}: there is nothing to decide any more.",
    Ending.OVER: "The time to decide was over at {at}.",
}


def question_page(question: Question) -> Response:
    """What is asked, to be decided; or how it was."""
    if question.outcome is not None:
        return _page(200, "Already decided", f"<p>{_ended(question.outcome)}</p>{_facts(question)}")
    form = (
        '<form method="post"><button name="decision" value="approve">Approve</button>'
        '<button name="decision" value="deny">Deny</button></form>'
    )
    return _page(200, "A decision is asked for", _facts(question) + form)


def decided_page(question: Question, wanted: Ending) -> Response:
    """What came of a click; the same for every click that says the same."""
    outcome = question.outcome
    if outcome is not None and outcome.ending is wanted:
        title = "Approved" if wanted is Ending.APPROVED else "Denied"
        return _page(200, title, f"<p>{_ended(outcome)}</p>{_facts(question)}")
    if outcome is None:  # the task's deadline passed a moment ago, and nobody has said so yet
        return _page(409, "Too late", f"<p>The time to decide is over.</p>{_facts(question)}")
    return _page(409, "Already decided", f"<p>Already decided: {_ended(outcome)}</p>{_facts(question)}")


def invalid_page() -> Response:
    """For every link that stands for nothing: none is told apart from another."""
    return _page(404, "This link is not valid", "<p>It was not copied whole, or its time is over.</p>")


def refused_page(status: int, why: str) -> Response:
    """For a request that was not made by the page's own buttons."""
    return _page(status, "Nothing was decided", f"<p>{escape(why)}</p>")


def unavailable_page() -> Response:
    """Something that is needed did not answer."""
    page = _page(503, "Not right now", "<p>Nothing is lost. Try again in a moment.</p>")
    return Response(page.status, page.value, {**page.headers, "retry-after": "2"}, page.content_type)


def _ended(outcome: Outcome) -> str:
    return _HOW_IT_ENDED[outcome.ending].format(at=rfc3339(outcome.at_ms))


def _facts(question: Question) -> str:
    state, body = question.state, question.asked.body
    rows = {
        "Agent": state.agent,
        "Task": state.task_id,
        "Of": state.tenant,
        "Asked by": question.asker,
        "Asked at": rfc3339(question.asked.at_ms),
        "Until": rfc3339(question.expires * 1000),
    }
    if state.workflow is not None:
        rows["Workflow"] = f"{state.workflow.run}, step {state.workflow.step}"
    facts = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    detail = body.get("detail")
    return f"<dl>{facts}</dl>" + ("" if detail is None else f"<pre>{escape(_as_text(detail))}</pre>")


def _as_text(detail: Any) -> str:
    return detail if isinstance(detail, str) else json.dumps(detail, indent=2, ensure_ascii=False)


def _page(status: int, title: str, content: str) -> Response:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{content}</body></html>"
    )
    return Response(status, html, _HEADERS, HTML_TYPE)
