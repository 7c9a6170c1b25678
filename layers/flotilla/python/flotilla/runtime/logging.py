"""Structured logs: one JSON object a line, a constant message plus keys."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

_NOISY = ("boto3", "botocore", "urllib3")


@cache
def configured() -> Logger:
    """Powertools' logger as the parent of all of Flotilla's own loggers.

    Service name and level come from `POWERTOOLS_SERVICE_NAME` and `POWERTOOLS_LOG_LEVEL`. Inputs,
    outputs and keys are never logged.
    """
    from aws_lambda_powertools import Logger

    # Where a line was written is told by its message, which is constant.
    logger = Logger(
        location=None, utc=True, use_rfc3339=True, log_uncaught_exceptions=False, serialize_stacktrace=False
    )
    flotilla = logging.getLogger("flotilla")
    flotilla.handlers = list(logger.handlers)
    flotilla.setLevel(logger.log_level)
    flotilla.propagate = False
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return logger
