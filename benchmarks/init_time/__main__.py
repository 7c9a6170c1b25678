"""How long cold functions take before their first event, the worker above all, beside two AWS clients alone.

Each sample is a fresh interpreter on the very layers and the function package that the embedded engine is given,
compiled files included; the two kinds of sample alternate, so that whatever else the machine does hits both alike.
What is timed begins after the interpreter has started and ends when the handler could take its first message.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.report import publish, table
from stacks.bundling import Bundles, make_bundles
from stacks.config import load
from stacks.local_differences import EMBEDDED_ENGINE

_REPOSITORY = Path(__file__).resolve().parents[2]
_SAMPLES = 21
_AIM = 1.5

_TIMED = "import time; began = time.perf_counter()\n{}\nprint((time.perf_counter() - began) * 1000)"

_CLIENTS = """
import boto3
boto3.client("dynamodb")
boto3.client("sqs")
"""

_EVENT_HANDLER = "from aws_lambda_powertools.event_handler import APIGatewayHttpResolver"

_WORKER = """
from functions.worker import handler
handler.prepare()
"""

_API = """
from functions.api import handler
handler._deployed_routes()
"""

_AUTHORIZER = """
from functions.authorizer import handler
handler._deployed_identifier()
"""

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "FLOTILLA_NAME": "flotilla",
    "FLOTILLA_EVENTS_TABLE": "events",
    "FLOTILLA_CONTROL_TABLE": "control",
    "FLOTILLA_PAYLOADS_BUCKET": "payloads",
    "FLOTILLA_INLINE_PAYLOAD_BYTES": "32768",
    "FLOTILLA_RETENTION_DAYS": "30",
    "FLOTILLA_DEFAULT_LANE": "standard",
    "FLOTILLA_LANE": "standard",
    "FLOTILLA_LANES": json.dumps(
        {"standard": {"queue_url": "http://127.0.0.1/lane", "dlq_url": "http://127.0.0.1/dlq"}}
    ),
    "POWERTOOLS_SERVICE_NAME": "flotilla",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}


def _sample(function: str, code: str, bundles: Bundles) -> float:
    """Milliseconds one fresh interpreter takes for `code` on what `function` is deployed with."""
    layers = [bundles.functions[function], bundles.library / "python", bundles.dependencies / "python"]
    environment = _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(map(str, layers)), "PATH": os.environ["PATH"]}
    answer = subprocess.run(
        [sys.executable, "-c", _TIMED.format(code)], env=environment, capture_output=True, text=True, check=True
    )
    return float(answer.stdout)


def main() -> None:
    """Measure, print and keep the result."""
    bundles = make_bundles(load(_REPOSITORY / "fleet.toml", local=True), EMBEDDED_ENGINE, _REPOSITORY)
    kinds = {
        "two boto3 clients alone": ("worker", _CLIENTS),
        "worker: imports, settings, clients, agents' manifest": ("worker", _WORKER),
        "api: the same, and its routes": ("api", _API),
        "authorizer: imports, settings, one client": ("authorizer", _AUTHORIZER),
        "Powertools' event handler alone, imported": ("api", _EVENT_HANDLER),
    }
    samples: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(_SAMPLES):
        for kind, (function, code) in kinds.items():
            samples[kind].append(_sample(function, code, bundles))
    medians = {kind: statistics.median(found) for kind, found in samples.items()}
    base = next(iter(medians.values()))
    rows = [
        [kind, f"{median:.0f}", f"{min(samples[kind]):.0f}", f"{median / base:.2f}"] for kind, median in medians.items()
    ]
    body = table(["what", "median ms", "best ms", "ratio"], rows)
    publish(
        __file__,
        "Import and init time of cold functions",
        f"{body}\n\n{_SAMPLES} samples each. Aim for the worker: ≤ {_AIM}.",
    )


if __name__ == "__main__":
    main()
