"""List prices, us-east-1, November 2026, in dollars for a million units (logs: for a gigabyte)."""

from __future__ import annotations

WRITE_UNITS = 0.625
READ_UNITS = 0.125
SQS_FIFO_REQUESTS = 0.50
HTTP_API_REQUESTS = 1.00
LAMBDA_REQUESTS = 0.20
LAMBDA_ARM_GB_SECONDS = 13.33
STATE_TRANSITIONS = 25.00
S3_PUTS = 5.00
S3_GETS = 0.40
LOGS_GB = 0.50
TABLE_GB_MONTHS = 0.25
