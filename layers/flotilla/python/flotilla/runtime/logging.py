"""Structured logs: one JSON object a line, a constant message plus keys.

What is written while a task is worked on says which trace that is part of. Inputs, outputs, keys and tokens are never
written, at no level: so nothing is of what libraries would write for finding faults, and of those that call servers
only warnings are, for the rest holds what they send.
"""

from __future__ import annotations

import logging
import os
import random
from functools import cache
from typing import TYPE_CHECKING

from flotilla import trace_context

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

_NOISY = ("boto3", "botocore", "urllib3", "httpx", "httpcore")


def configured() -> Logger:
    """Powertools' logger as the parent of all of Flotilla's own loggers; called as an invocation begins.

    The level comes from `POWERTOOLS_LOG_LEVEL`. Of all invocations the share `FLOTILLA_DEBUG_SHARE` is logged at DEBUG,
    whatever the level.
    """
    logger = _made()
    logging.getLogger("flotilla").setLevel(_level(logger))
    return logger


@cache
def _made() -> Logger:
    from aws_lambda_powertools import Logger

    # Where a line was written is told by its message, which is constant.
    logger = Logger(
        location=None, utc=True, use_rfc3339=True, log_uncaught_exceptions=False, serialize_stacktrace=False
    )
    # Which function it was, its log group tells; each byte of a line is paid for.
    logger.remove_keys(["service"])
    flotilla = logging.getLogger("flotilla")
    flotilla.handlers = list(logger.handlers)
    for handler in flotilla.handlers:
        handler.addFilter(_traced)
    flotilla.propagate = False
    others = logging.getLogger()
    others.setLevel(max(others.level, logging.INFO))
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return logger


def _level(logger: Logger) -> int | str:
    if random.random() < _debug_share():
        return logging.DEBUG
    # Lambda's own filter lets DEBUG pass where some invocations are to be logged at it, and Powertools follows that.
    return os.environ.get("POWERTOOLS_LOG_LEVEL") or logger.log_level


@cache
def _debug_share() -> float:
    return float(os.environ.get("FLOTILLA_DEBUG_SHARE", "0"))


def _traced(record: logging.LogRecord) -> bool:
    trace = trace_context.current()
    if trace is not None and not hasattr(record, "trace_id"):
        record.trace_id = trace.trace_id
    return True
