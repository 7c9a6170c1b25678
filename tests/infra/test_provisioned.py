"""A lane that keeps environments warm is worked off by a published version; the others are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import stacks  # noqa: F401  says which Node the CDK library runs, before it is imported

# isort: split
import aws_cdk as cdk
from aws_cdk.assertions import Match, Template

from stacks.bundling import Bundles
from stacks.bundling.target import Target
from stacks.config import parse
from stacks.constructs.fifo_lane import FifoLane
from stacks.constructs.fleet_function import FunctionShape
from stacks.constructs.permissions import Permission
from stacks.constructs.runtime_layers import RuntimeLayers
from stacks.constructs.worker_function import WorkerFunction


def template(folder: Path, settings: str, code: str = "") -> Template:
    """A stack with the worker of the lane `standard` and nothing else."""
    (folder / "worker.py").write_text(code)
    fleet = parse(settings)
    lane = fleet.lanes["standard"]
    stack = cdk.Stack(cdk.App(context={"@aws-cdk/aws-lambda:recognizeLayerVersion": True}), "workers")
    bundles = Bundles(Target("3.12", "arm64", host=False), folder, folder, {"worker": folder}, {})
    WorkerFunction(
        stack,
        "Standard",
        shape=FunctionShape("fleet-worker-standard", "worker", folder, lane.timeout_seconds, lane.memory_mb),
        layers=RuntimeLayers(stack, "Layers", bundles=bundles, fleet=fleet.name),
        logging=fleet.logs,
        environment={},
        permissions=[Permission(["sqs:SendMessage"], ["arn:aws:sqs:eu-central-1:111122223333:other"])],
        source=FifoLane(stack, "Lane", fleet=fleet.name, name="standard", lane=lane),
        lane=lane,
    )
    return Template.from_stack(stack)


def version(found: Template) -> str:
    (name,) = found.find_resources("AWS::Lambda::Version")
    return str(name)


def mapped(found: Template) -> Any:
    (mapping,) = found.find_resources("AWS::Lambda::EventSourceMapping").values()
    return mapping["Properties"]["FunctionName"]


WARM = "[lanes.standard]\nprovisioned_concurrency = 4\n"


def test_a_lane_that_keeps_environments_warm_is_fed_through_the_alias_of_its_newest_version(tmp_path: Path) -> None:
    found = template(tmp_path, WARM)
    found.has_resource_properties(
        "AWS::Lambda::Alias",
        {
            "Name": "live",
            "FunctionVersion": Match.object_like({"Fn::GetAtt": [version(found), "Version"]}),
            "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 4},
        },
    )
    (alias,) = found.find_resources("AWS::Lambda::Alias")
    assert alias in str(mapped(found))
    assert "live" in str(mapped(found))


def test_other_code_is_another_version(tmp_path: Path) -> None:
    assert version(template(tmp_path, WARM)) != version(template(tmp_path, WARM, "changed = True\n"))
    assert version(template(tmp_path, WARM)) == version(template(tmp_path, WARM))


def test_a_lane_that_keeps_none_has_neither_versions_nor_an_alias(tmp_path: Path) -> None:
    found = template(tmp_path, "[lanes.standard]\n")
    for kind in ("Alias", "Version"):
        found.resource_count_is(f"AWS::Lambda::{kind}", 0)
    assert set(mapped(found)) == {"Ref"}
