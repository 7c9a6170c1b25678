"""List prices, us-east-1, November 2026, in dollars: the one place where they stand.

What is counted by the call or the unit has its price for a million; the rest says of what. No free tier but what is
named as free, no discount for volume, no savings plan, no tax. Transfer to the internet is not in it, as answers are
small.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# DynamoDB, on demand.
WRITE_UNITS: Final = 0.625
READ_UNITS: Final = 0.125
TABLE_GB_MONTHS: Final = 0.25
TABLE_BACKUP_GB_MONTHS: Final = 0.20
"""Point-in-time recovery, of a gigabyte in a table."""

# SQS, each begun 64 KB of a call.
SQS_FIFO_REQUESTS: Final = 0.50
SQS_STANDARD_REQUESTS: Final = 0.40

# API Gateway, each begun 512 KB of a call.
HTTP_API_REQUESTS: Final = 1.00

# Lambda.
LAMBDA_REQUESTS: Final = 0.20
LAMBDA_ARM_GB_SECONDS: Final = 13.33
LAMBDA_X86_GB_SECONDS: Final = 16.67
LAMBDA_GB_SECONDS: Final[Mapping[str, float]] = MappingProxyType(
    {"arm64": LAMBDA_ARM_GB_SECONDS, "x86_64": LAMBDA_X86_GB_SECONDS}
)
"""By architecture, of functions that start on demand, their initialisation included."""
LAMBDA_PROVISIONED_GB_SECONDS: Final[Mapping[str, float]] = MappingProxyType({"arm64": 3.3334, "x86_64": 4.1667})
"""By architecture, of environments that are kept warm, whether they work or not."""
LAMBDA_PROVISIONED_DURATION_GB_SECONDS: Final[Mapping[str, float]] = MappingProxyType(
    {"arm64": 7.7778, "x86_64": 9.7222}
)
"""By architecture, of an invocation in such an environment."""

POLLER_HOURS: Final = 0.00925
"""A poller of a mapping's own, of a queue's, by the hour."""

# Step Functions, Standard.
STATE_TRANSITIONS: Final = 25.00

# EventBridge, its scheduler, SNS.
BUS_EVENTS: Final = 1.00
SCHEDULES: Final = 1.00
SNS_REQUESTS: Final = 0.50

# S3, Standard.
S3_PUTS: Final = 5.00
S3_GETS: Final = 0.40
S3_GB_MONTHS: Final = 0.023

# CloudWatch.
LOGS_GB: Final = 0.50
LOGS_GB_MONTHS: Final = 0.03
METRIC_MONTHS: Final = 0.30
"""A custom metric, i.e. one set of dimensions, in each month in which it has data; by the hour of use."""
METRICS_GOT: Final = 10.00
"""Metrics that GetMetricData is asked for; a million of them."""
ALARM_METRIC_MONTHS: Final = 0.10
"""Each metric that an alarm looks at, periods of a minute and more."""
COMPOSITE_ALARM_MONTHS: Final = 0.50
DASHBOARD_MONTHS: Final = 3.00

# What every account has for nothing in every month, for ever; an account, not a fleet.
FREE_SQS_REQUESTS: Final = 1_000_000
FREE_METRICS: Final = 10
FREE_ALARM_METRICS: Final = 10
FREE_DASHBOARDS: Final = 3

# X-Ray.
TRACES: Final = 5.00

# Secrets Manager.
SECRET_MONTHS: Final = 0.40
SECRET_CALLS: Final = 5.00
