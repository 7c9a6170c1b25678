"""The templates are clean under cfn-lint and cdk-nag, and what is acknowledged has a reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sqs as sqs
from cdk_nag import AwsSolutionsChecks

from tests.synthesis import REPOSITORY, Templates, synthesize


def test_cfn_lint_finds_nothing(templates: Templates) -> None:
    files = [str(path) for path in sorted(templates.directory.glob("*.template.json"))]
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([str(lint), "--", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


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
