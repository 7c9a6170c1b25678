"""The app as the CDK command runs it: without credentials, and with one clear message where something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import app
from tests.synthesis import REPOSITORY, Templates, synthesize

STACKS = ("alarms", "api", "dispatch", "followers", "lanes", "state", "workers", "workflows")


def test_it_synthesizes_in_an_environment_that_knows_nothing_of_aws(tmp_path: Path) -> None:
    out = tmp_path / "out"
    environment = {
        "PATH": os.defpath,
        # Where the CDK library caches what it unpacks.
        "HOME": str(Path.home()),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "CDK_OUTDIR": str(out),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, str(REPOSITORY / "app.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.glob("*.template.json")) == [
        f"flotilla-{stack}.template.json" for stack in STACKS
    ]


def test_another_settings_file_names_everything(tmp_path: Path) -> None:
    settings = tmp_path / "fleet.toml"
    told = '[alarms]\nemails = ["team@example.com"]\npages = ["oncall@example.com"]\n'
    settings.write_text(f'name = "fleet-2"\ndefault_lane = "only"\n[lanes.only]\n{told}', encoding="utf-8")
    out = synthesize(tmp_path / "out", settings=settings)
    found = sorted(out.glob("*.template.json"))
    assert [path.name for path in found] == [f"fleet-2-{stack}.template.json" for stack in STACKS]
    for template in found:
        assert "flotilla-" not in template.read_text(encoding="utf-8")
    listening = {
        each.properties["Endpoint"]: each.properties["TopicArn"].rsplit(":", 1)[1]
        for each in Templates(out).resources("AWS::SNS::Subscription")
        if each.properties["Protocol"] == "email"
    }
    assert listening == {"team@example.com": "fleet-2-alarms", "oncall@example.com": "fleet-2-pages"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "[lanes.standard]\nmemroy_mb = 512",
            "line 2: lanes.standard.memroy_mb: unknown key; did you mean 'memory_mb'?",
        ),
        ('[agents."no.such"]\nmax_attempts = 2', '[agents."no.such"] names no agent'),
        (
            '[lanes.standard]\nmax_receive_count = 30\n[agents."document.analyze"]\nmax_attempts = 21',
            'agents."document.analyze".max_attempts: must be at most 20',
        ),
        ('[runtime]\naws_services = ["dynamo"]', "boto3 has no service 'dynamo'; did you mean"),
        ("name =", "is not TOML"),
    ],
)
def test_a_mistake_ends_it_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str, message: str
) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(settings, encoding="utf-8")
    monkeypatch.setenv("FLOTILLA_CONFIG", str(file))
    monkeypatch.setenv("CDK_OUTDIR", str(tmp_path / "out"))
    with pytest.raises(SystemExit) as end:
        app.main()
    assert str(end.value.code).startswith("flotilla: ")
    assert message in str(end.value.code)
    assert not list(tmp_path.rglob("*.template.json"))
