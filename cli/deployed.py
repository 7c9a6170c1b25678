"""A deployment's own tables and bucket, for what the API does not do.

Which they are is asked of the deployment: what its projector is told. The local engine is spoken to as such, with
credentials that open nothing else; any other deployment with the AWS credentials and region of the environment.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from cli.connection import Connection, NoConnectionError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from flotilla.runtime.settings import ProjectorSettings

_REPOSITORY = Path(__file__).resolve().parent.parent
_CONNECTIONS = 32
_ATTEMPTS = 5


class _MakeClient(Protocol):
    def __call__(self, service: str) -> Any: ...


@dataclass(frozen=True)
class Deployed:
    """A deployment's stores.

    Attributes:
        settings: What its projector is told.
        place: Where it is, for a person.
    """

    settings: ProjectorSettings
    dynamodb: DynamoDBClient
    s3: S3Client
    place: str


def find_deployed(fleet: str | None, connection: Connection) -> Deployed:
    """The stores of the deployment that `connection` leads to.

    Args:
        fleet: Its name; None for the one that is configured.
        connection: Tells whether it is the local engine.

    Raises:
        NoConnectionError: It cannot be reached, or there is no such deployment.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from pydantic import ValidationError

    from flotilla.runtime.settings import ProjectorSettings

    name = fleet or _configured_name()
    make = _local_clients(connection) if connection.on_this_machine else _aws_clients()
    try:
        functions = make("lambda")
        found = functions.get_function_configuration(FunctionName=f"{name}-projector")
        settings = ProjectorSettings.from_environment(found["Environment"]["Variables"])
        dynamodb, s3 = make("dynamodb"), make("s3")
    except (ClientError, BotoCoreError) as error:
        raise NoConnectionError(f"the fleet {name!r} cannot be reached: {error}") from error
    except (ValidationError, KeyError) as error:
        raise NoConnectionError(f"the fleet {name!r} is of another version: {error}") from error
    place = connection.api_url if connection.on_this_machine else str(functions.meta.region_name)
    return Deployed(settings, dynamodb, s3, place)


def _configured_name() -> str:
    path = Path(os.environ.get("FLOTILLA_CONFIG") or _REPOSITORY / "fleet.toml")
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError) as error:
        raise NoConnectionError(f"{path} names no fleet ({type(error).__name__}): say --fleet NAME") from error


def _local_clients(connection: Connection) -> _MakeClient:
    from local.clients import client

    parts = urlsplit(connection.api_url)
    return partial(client, engine_url=f"{parts.scheme}://{parts.netloc}")


def _aws_clients() -> _MakeClient:
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    client: Any = boto3.Session().client
    return partial(client, config=Config(max_pool_connections=_CONNECTIONS, retries=retries))
