"""The documents and the report, in the fleet's bucket."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.documents.variety import Varied
from cli.workflows import Run
from local.clients import client
from local.instance import LocalInfo
from local.keys import TENANT

_INPUTS = f"workflows/inputs/{TENANT.tenant}/documents"
_AT_ONCE = 8


def put_documents(info: LocalInfo, documents: Iterable[Varied]) -> str:
    """Put each document and a manifest of all; the manifest's key."""
    bucket, store = info.outputs["PayloadsBucket"], client("s3", info.engine_url)

    def put(document: Varied) -> str:
        key = f"{_INPUTS}/{document.id}.txt"
        store.put_object(Bucket=bucket, Key=key, Body=document.text.encode())
        return json.dumps({"id": document.id, "name": document.original, "key": key})

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        lines = list(pool.map(put, documents))
    manifest = f"{_INPUTS}/manifest.jsonl"
    store.put_object(Bucket=bucket, Key=manifest, Body="".join(f"{line}\n" for line in lines).encode())
    return manifest


def report_of(info: LocalInfo, run: Run) -> str:
    """The text of the report that a run says it wrote; nothing where it wrote none."""
    output = run.get("output")
    files = output.get("files") if isinstance(output, dict) else None
    if not isinstance(files, dict) or "report" not in files:
        return ""
    answer = client("s3", info.engine_url).get_object(Bucket=info.outputs["PayloadsBucket"], Key=files["report"])
    return str(answer["Body"].read().decode())
