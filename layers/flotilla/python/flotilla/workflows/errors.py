"""The codes of Flotilla's own that a task can end with, and so the errors that any state of a workflow can meet.

A state's `Retry` and `Catch` may name these, and the errors that its agent declares (`@agent(errors=…)`). Beside them
Step Functions has its own, which begin with `States.`: `States.Timeout` where nobody answered the state in time.

An agent's own attempts come first. What passes by itself (an outage, a limit, a circuit that is open) is waited for by
the task and ends none. So a `Retry` of a state repeats what was tried in vain already, as a new task.
"""

from __future__ import annotations

ANY_OTHER = "agent_error"
"""What an agent failed with that says nothing more, or nothing that a state could name."""

CANCELLED = "cancelled"
DEADLINE = "deadline"
INVALID_INPUT = "invalid_input"
INVALID_ORDER = "invalid_order"

BUILT_IN: dict[str, str] = {
    # What becomes of a task, whatever its agent.
    CANCELLED: "somebody cancelled it, or its workflow was",
    DEADLINE: "its deadline passed before it could be done",
    "worker_lost": "a worker died during its last attempt",
    "undeliverable": "its messages led to no attempt, time and again, or its lane is gone",
    INVALID_ORDER: "what the state asked for is no task that could be made; there is none",
    # What an attempt ends with.
    ANY_OTHER: "its agent raised what says nothing more, in every attempt",
    "agent_exit": "its agent tried to end the process, in every attempt",
    "error": "its agent raised Flotilla's base error without a code, in every attempt",
    "retryable": "its agent raised a retryable error without a code, in every attempt",
    "permanent": "its agent raised a permanent error without a code",
    "timeout": "it took longer than its agent may, or than the attempt had left for a call, in every attempt",
    INVALID_INPUT: "its input is not what its agent takes, or refers to what is no result of the run",
    "invalid_output": "what its agent returned is not what it declares",
    "payload_missing": "a stored input or output is gone",
    "payload_mismatch": "a stored input or output is not what was stored",
    # How an agent used its context.
    "invalid_step_name": "its agent gave a step a name that is too long",
    "invalid_step_result": "a step returned what is no JSON",
    "no_session": "its agent asked for the memory of a session, and it belongs to none",
    "invalid_turn": "its agent added what is no JSON to its session",
    "too_many_turns": "its agent added more turns to its session than an attempt may",
    "wait_timeout": "the signal that it waited for did not come in time, and its agent did not go on without",
    "invalid_wait": "its agent asked to wait for what cannot be waited for",
    "wait_in_step": "its agent asked to wait within a step",
    "too_many_waits": "it waited more often than a task may",
    "invalid_file_name": "its agent named a file by what is no name",
    "file_missing": "its agent read a file that is not there",
    "file_not_allowed": "its agent read a file that is not its own to read",
    "unknown_agent": "it, or what its agent submitted, is for an agent that is not deployed",
    "invalid_submission": "its agent submitted a task that breaks a rule",
    "too_deep": "there are too many tasks above it, or above what it submitted",
    # Money and limits.
    "budget_exceeded": "a budget that it counts against is spent",
    "budget_too_small": "one call would cost more than a budget that it counts against",
    "limit_too_small": "one call needs more than a limit ever allows",
    # Integrations.
    "integration_not_declared": "its agent called an integration that it does not declare, or that there is not",
    "path_not_allowed": "its agent called a path that the integration does not allow",
    "invalid_request": "its agent made a call that cannot be made",
    "integration_forbidden": "a call would have gone to an address that is not public",
    "integration_refused": "the other side refused a call, and would again",
    "integration_redirect": "the other side led elsewhere, where it is not followed",
    "integration_answer": "the other side's answer was no JSON, in every attempt",
    "integration_answer_unusable": "the other side's answer was too large, or packed strangely",
    "integration_failed": "the other side failed, in every attempt, while it served others",
    "integration_no_answer": "the other side gave no whole answer, in every attempt, while it served others",
    "integration_timeout": "the other side did not answer in time, in every attempt, while it served others",
    "integration_unreachable": "no connection came about, in every attempt, while others had theirs",
    # Models.
    "route_not_declared": "its agent called a route that it does not declare, or that there is not",
    "quality_not_available": "a route has no model of the quality that its agent asked for",
    "invalid_item": "its agent gave a model what is neither text nor JSON",
    "invalid_output_type": "its agent asked a model for a type that none can answer with",
    "invalid_tool": "its agent offered a model a tool that is none",
    "broken_off": "a call that it shared with other tasks broke off, in every attempt",
    "model_answer_invalid": "a model gave an answer that is none, in every attempt, while it served others",
    "model_context_too_long": "no model takes so much at once",
    "model_failed": "a model failed over the request, in every attempt, while it served others",
    "model_filtered": "a model's provider withheld the answer",
    "model_no_answer": "a model gave no whole answer, in every attempt, while it served others",
    "model_not_ready": "a model was not ready, in every attempt, while it served others",
    "model_output_invalid": "a model's answers were never what was asked for",
    "model_refused": "a model's provider refused the request",
    "model_timeout": "a model did not answer in time, in every attempt, while it served others",
    "model_tool_rounds": "a model went on asking for tools",
    "model_unavailable": "a model failed, in every attempt, while it served others",
    "model_unreachable": "a model could not be reached, in every attempt, while others reached it",
}
"""What each means, in one line."""
