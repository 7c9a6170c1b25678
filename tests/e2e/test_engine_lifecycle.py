"""An engine starts, stops, keeps its state and recovers from being killed. Nothing is deployed into it here."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.clients import client
from local.engine_process import (
    engine_record,
    engine_url,
    running_engine,
    save_state,
    start_engine,
    stop_engine,
)
from local.instance import Instance
from local.processes import Process, start_of
from local.progress import Step


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = Instance(root=tmp_path / "engine", port=0, owner_pid=os.getpid())
    instance.make_directories()
    yield instance
    stop_engine(instance)


def start(instance: Instance) -> Process:
    return start_engine(instance, Step("engine"))


def service(process: Process, name: str) -> Any:
    return client(name, engine_url(process))


def queue_names(process: Process) -> list[str]:
    return [url.rsplit("/", 1)[-1] for url in service(process, "sqs").list_queues().get("QueueUrls", [])]


def test_starting_again_finds_it_running(instance: Instance) -> None:
    assert start(instance) == start(instance)


def test_everything_survives_a_stop(instance: Instance) -> None:
    process = start(instance)
    queue_url = service(process, "sqs").create_queue(QueueName="kept")["QueueUrl"]
    service(process, "sqs").send_message(QueueUrl=queue_url, MessageBody="kept")
    service(process, "s3").create_bucket(Bucket="kept")
    service(process, "s3").put_object(Bucket="kept", Key="key", Body=b"kept")
    service(process, "dynamodb").create_table(
        TableName="kept",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    service(process, "dynamodb").put_item(TableName="kept", Item={"id": {"S": "kept"}, "raw": {"B": b"\x00\xff"}})

    assert stop_engine(instance)
    assert start_of(process.pid) is None
    again = start(instance)
    assert (again.port, again.pid != process.pid) == (process.port, True)

    answer = service(again, "sqs").receive_message(
        QueueUrl=service(again, "sqs").get_queue_url(QueueName="kept")["QueueUrl"]
    )
    assert [message["Body"] for message in answer["Messages"]] == ["kept"]
    assert service(again, "s3").get_object(Bucket="kept", Key="key")["Body"].read() == b"kept"
    item = service(again, "dynamodb").get_item(TableName="kept", Key={"id": {"S": "kept"}})["Item"]
    assert item["raw"]["B"] == b"\x00\xff"
    streams = service(again, "dynamodbstreams")
    stream_arn = service(again, "dynamodb").describe_table(TableName="kept")["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(
        StreamArn=stream_arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = streams.get_records(ShardIterator=iterator)["Records"]
    assert record["dynamodb"]["NewImage"]["id"] == {"S": "kept"}


def test_a_killed_engine_is_noticed_and_comes_back_with_what_was_saved(instance: Instance) -> None:
    process = start(instance)
    service(process, "sqs").create_queue(QueueName="saved")
    assert save_state(process)
    service(process, "sqs").create_queue(QueueName="unsaved")
    (instance.temporary / "left-over").touch()
    os.kill(process.pid, signal.SIGKILL)
    while process.is_alive():
        pass
    assert running_engine(instance) is None

    again = start(instance)
    assert queue_names(again) == ["saved"]
    assert not (instance.temporary / "left-over").exists()


def test_an_engine_that_hangs_is_replaced(instance: Instance) -> None:
    process = start(instance)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert running_engine(instance) is None
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert running_engine(instance) == process


def test_a_stop_leaves_no_file_behind_that_is_not_state(instance: Instance) -> None:
    process = start(instance)
    stop_engine(instance)
    assert not engine_record(instance).exists()
    assert list(instance.temporary.iterdir()) == []
    assert start_of(process.pid) is None


def test_a_taken_port_is_left_to_its_owner(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        instance = Instance(root=tmp_path, port=port, owner_pid=os.getpid())
        instance.make_directories()
        try:
            assert start(instance).port > port
        finally:
            stop_engine(instance)


def test_the_engine_ends_with_its_owner(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        instance = Instance(root=tmp_path, port=0, owner_pid=owner.pid)
        instance.make_directories()
        try:
            process = start(instance)
            assert process.is_alive()
            owner.communicate(b"\n")
            while process.is_alive():
                pass
        finally:
            stop_engine(instance)


def zipped(files: dict[str, str]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return archive.getvalue()


def deploy_function(process: Process, code: str, **settings: Any) -> str:
    answer = service(process, "lambda").create_function(
        FunctionName="function",
        Runtime="python3.12",
        Handler="code_of_test.handler",
        Role="arn:aws:iam::000000000000:role/function",
        Code={"ZipFile": zipped({"code_of_test.py": code})},
        Timeout=60,
        **settings,
    )
    return str(answer["FunctionArn"])


def invoke(process: Process, payload: object = None) -> Any:
    answer = service(process, "lambda").invoke(FunctionName="function", Payload=json.dumps(payload))
    return json.loads(answer["Payload"].read())


def test_nothing_of_the_users_environment_reaches_a_function(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "SOME_API_TOKEN", "HTTP_PROXY"):
        monkeypatch.setenv(name, "the user's own")
    process = start(instance)
    deploy_function(process, "import os\ndef handler(event, context):\n    return dict(os.environ)\n")
    environment = invoke(process)
    assert "the user's own" not in environment.values()
    assert environment["AWS_ENDPOINT_URL"] == engine_url(process)
    assert Path(environment["HOME"]).is_relative_to(instance.root)
    assert "FLOTILLA_ENGINE_TOKEN" not in environment


def test_a_function_finds_no_code_but_its_own(instance: Instance) -> None:
    process = start(instance)
    code = """
import importlib.util
def handler(event, context):
    return [name for name in ("local", "stacks", "cli", "tests") if importlib.util.find_spec(name)]
"""
    deploy_function(process, code)
    assert invoke(process) == []


def test_execution_environments_share_one_unpacked_layer(instance: Instance) -> None:
    process = start(instance)
    layer = service(process, "lambda").publish_layer_version(
        LayerName="layer", Content={"ZipFile": zipped({"python/from_layer.py": "ANSWER = 42"})}
    )
    code = """
import os, from_layer
def handler(event, context):
    if event < 3:
        import boto3
        boto3.client("lambda").invoke(FunctionName="function", Payload=str(event + 1))
    return [from_layer.ANSWER, os.path.realpath(from_layer.__file__)]
"""
    deploy_function(process, code, Layers=[layer["LayerVersionArn"]])
    answer, file = invoke(process, 0)
    unpacked = instance.temporary / "unpacked-layers"
    environments = [path for path in instance.temporary.iterdir() if path.name.startswith("ministack-lambda-")]
    assert answer == 42
    assert Path(file).is_relative_to(unpacked)
    assert (len(environments), len(list(unpacked.iterdir()))) == (4, 1)


def test_the_engine_serves_no_mapping_by_itself(instance: Instance) -> None:
    process = start(instance)
    queues = service(process, "sqs")
    queue_url = queues.create_queue(QueueName="queue")["QueueUrl"]
    answer = queues.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    deploy_function(process, "def handler(event, context):\n    return None\n")
    service(process, "lambda").create_event_source_mapping(
        FunctionName="function", EventSourceArn=answer["Attributes"]["QueueArn"]
    )
    queues.send_message(QueueUrl=queue_url, MessageBody="left alone")
    # Longer than a poller of the engine would need.
    empty = queues.create_queue(QueueName="empty")["QueueUrl"]
    queues.receive_message(QueueUrl=empty, WaitTimeSeconds=2)
    (message,) = queues.receive_message(QueueUrl=queue_url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
