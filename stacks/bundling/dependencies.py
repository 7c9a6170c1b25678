"""The layer of third-party packages, stripped of what never runs.

A new Lambda environment unzips all of it before its first line of Python, so size is start-up time.
"""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterable
from pathlib import Path

from stacks.bundling.bytecode import compile_all
from stacks.bundling.cache import built, content_of, digest, sources_in
from stacks.bundling.process import BundlingError, run_python
from stacks.bundling.target import Target

AWS_SERVICES = frozenset(
    {
        "bedrock-runtime",
        "cloudwatch",
        "dynamodb",
        "dynamodbstreams",
        "events",
        "lambda",
        "s3",
        "scheduler",
        "secretsmanager",
        "sns",
        "sqs",
        "ssm",
        "stepfunctions",
        "sts",
    }
)
"""Of the four hundred whose descriptions botocore brings; `runtime.aws_services` of fleet.toml adds to them."""

_KEPT_OF_METADATA = frozenset({"METADATA", "entry_points.txt"})
"""What `importlib.metadata` reads."""

_NEVER_IMPORTED = ("*.pyi", "examples-1.json*", "swagger-ui*")


def dependencies_layer(requirements: Path, target: Target, services: Iterable[str], build_root: Path) -> Path:
    """The directory of the layer, `python/` in it.

    Raises:
        BundlingError: pip failed, or botocore knows no such service.
    """
    wanted = AWS_SERVICES | set(services)
    recipe = content_of(Path(__file__).parent, sources_in(Path(__file__).parent))
    key = digest([requirements.read_bytes(), *target.pip_options, *sorted(wanted), *recipe])

    def make(directory: Path) -> None:
        site = directory / "python"
        _install(requirements, target, site)
        _strip(site, wanted)
        compile_all(directory, "/opt")

    return built(build_root / "layers" / f"dependencies-{target.name}", key, make)


def _install(requirements: Path, target: Target, site: Path) -> None:
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
    # Complete and exact by itself, so there is nothing to resolve, and markers cannot be taken for this machine's.
    whole = ["--no-deps", "--no-compile", "--target", str(site), "--requirement", str(requirements)]
    run_python(
        f"installing {requirements.name} for {target.name}",
        ["-m", "pip", "install", *quiet, *target.pip_options, *whole],
    )


def _strip(site: Path, services: Iterable[str]) -> None:
    shutil.rmtree(site / "bin", ignore_errors=True)
    for metadata in site.glob("*.dist-info"):
        for path in metadata.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in _KEPT_OF_METADATA:
                path.unlink()
    for pattern in _NEVER_IMPORTED:
        for path in list(site.rglob(pattern)):
            path.unlink()
    for path in list(site.rglob("tests")):
        shutil.rmtree(path, ignore_errors=True)
    _keep_services(site / "botocore" / "data", services, required=True)
    _keep_services(site / "boto3" / "data", services, required=False)
    shutil.rmtree(site / "boto3" / "examples", ignore_errors=True)


def _keep_services(data: Path, services: Iterable[str], *, required: bool) -> None:
    """Removes the descriptions of all other services. The files beside them are about all services and stay."""
    known = {path.name for path in data.iterdir() if path.is_dir()}
    for name in sorted(services):
        if required and name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise BundlingError(f"fleet.toml: runtime.aws_services: boto3 has no service {name!r}{hint}")
    for name in known - set(services):
        shutil.rmtree(data / name)
