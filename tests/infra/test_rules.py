"""The templates are clean under cfn-lint and cdk-nag, and what is acknowledged has a reason."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sqs as sqs
from cdk_nag import AwsSolutionsChecks

from tests.synthesis import REPOSITORY, Templates, synthesize

EXPRESSION_FOR_A_NUMBER = re.compile(r"'\{%.*%\}' is not of type 'number' at 'States/[^']*/MaxConcurrency'")
"""What the Amazon States Language allows and cfn-lint's schema of it does not know."""


def findings(files: Iterable[Path]) -> list[str]:
    """What cfn-lint finds, save what it is mistaken in."""
    lint = Path(sys.executable).with_name("cfn-lint")
    command = [str(lint), "--format", "json", "--", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    told = [f"{each['Rule']['Id']} {each['Filename']}: {each['Message']}" for each in found]
    return [each for each in told if not (" E3601" in f" {each}" and EXPRESSION_FOR_A_NUMBER.search(each))]


def test_cfn_lint_finds_nothing(templates: Templates) -> None:
    assert findings(sorted(templates.directory.glob("*.template.json"))) == []


@pytest.mark.parametrize(
    ("broken", "finding"),
    [
        ({"StartAt": "Nowhere"}, "Missing 'Next' target 'Nowhere'"),
        ({"States": {"A": {"Type": "Tusk"}}, "StartAt": "A"}, "'Tusk' is not one of"),
        ({"States": {"A": {"Type": "Task", "End": True}}, "StartAt": "A"}, "'Resource' is a required property"),
        ({"States": {"A": {"Type": "Pass", "Nxt": "B", "End": True}}, "StartAt": "A"}, "'Nxt' was unexpected"),
        ({"Statez": {}}, "'Statez' was unexpected"),
    ],
)
def test_cfn_lint_would_find_a_broken_definition(
    templates: Templates, tmp_path: Path, broken: dict[str, Any], finding: str
) -> None:
    template = copy.deepcopy(templates["flotilla-workflows"])
    kind = "AWS::StepFunctions::StateMachine"
    machine = next(each for each in template["Resources"].values() if each["Type"] == kind)
    definition = json.loads(machine["Properties"]["DefinitionString"])
    machine["Properties"]["DefinitionString"] = json.dumps({**definition, **broken})
    file = tmp_path / "broken.template.json"
    file.write_text(json.dumps(template), encoding="utf-8")
    found = findings([file])
    assert any(each.startswith("E3601") and finding in each for each in found), found


def test_cdk_nag_finds_nothing(tmp_path: Path) -> None:
    def check(app: cdk.App) -> None:
        cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))

    # A finding fails the synth, with the finding in what is printed and in the report.
    out = synthesize(tmp_path / "assembly", prepare=check)
    report = json.loads((out / "validation-report.json").read_text(encoding="utf-8"))
    assert report["pluginReports"] == []


def test_cdk_nag_would_find_something(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path / "assembly"))
    stack = cdk.Stack(app, "careless")
    sqs.CfnQueue(stack, "Plain")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="AwsSolutions-SQS4"):
        app.synth()


def test_synthesis_itself_validates_against_awss_rules() -> None:
    context = json.loads((REPOSITORY / "cdk.json").read_text(encoding="utf-8"))["context"]
    assert context["@aws-cdk/core:validateAgainstDefaultRules"] is True
    assert context["@aws-cdk/aws-lambda:recognizeLayerVersion"] is True
