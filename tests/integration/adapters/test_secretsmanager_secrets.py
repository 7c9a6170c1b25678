"""Secrets in Secrets Manager: they keep the contract; an operator's mistake parks, an outage is said to be one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
import pytest

from flotilla.errors import ParkedError, StoreUnavailableError
from flotilla.secretsmanager.secrets import SecretsManagerSecrets
from tests.contracts.secrets import SecretsContract
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import answering_with, unreachable
from tests.integration.adapters.conftest import ONCE

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@pytest.fixture
def client(aws: boto3.Session) -> SecretsManagerClient:
    return aws.client("secretsmanager", config=ONCE)


@pytest.fixture
def secrets(client: SecretsManagerClient) -> SecretsManagerSecrets:
    return SecretsManagerSecrets(lambda: client, run_on_thread)


@pytest.fixture
def put(client: SecretsManagerClient) -> Callable[[str, str], None]:
    def store(name: str, text: str) -> None:
        try:
            client.create_secret(Name=name, SecretString=text)
        except client.exceptions.ResourceExistsException:
            client.put_secret_value(SecretId=name, SecretString=text)

    return store


class TestSecretsManagerSecrets(SecretsContract):
    """The contract."""


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException", "InvalidRequestException"])
def test_what_an_operator_has_to_mend_parks(
    secrets: SecretsManagerSecrets, client: SecretsManagerClient, code: str
) -> None:
    with answering_with(client, "get_secret_value", code), pytest.raises(ParkedError) as failure:
        asyncio.run(secrets.read("crm"))
    assert failure.value.code == "integration_secret"


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServiceError", "ExpiredTokenException"])
def test_an_outage_is_said_to_be_one(secrets: SecretsManagerSecrets, client: SecretsManagerClient, code: str) -> None:
    with answering_with(client, "get_secret_value", code), pytest.raises(StoreUnavailableError) as failure:
        asyncio.run(secrets.read("crm"))
    assert failure.value.code == "secrets_unavailable"
    with unreachable(client, "GetSecretValue"), pytest.raises(StoreUnavailableError):
        asyncio.run(secrets.read("crm"))


def test_a_secret_that_is_no_text_parks(secrets: SecretsManagerSecrets, client: SecretsManagerClient) -> None:
    client.create_secret(Name="binary", SecretBinary=b"\x00")
    with pytest.raises(ParkedError):
        asyncio.run(secrets.read("binary"))
