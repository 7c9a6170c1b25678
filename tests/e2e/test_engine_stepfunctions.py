"""The engine's Step Functions do as AWS documents, in what workflows rest on. Nothing is deployed here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.engine_process import engine_url, start_engine, stop_engine
from local.instance import Instance
from local.progress import Step
from tests.e2e.machines import BUCKET, Machines
from tests.e2e.waiting import eventually


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    instance = Instance(root=tmp_path_factory.mktemp("stepfunctions"), port=0, owner_pid=os.getpid())
    instance.make_directories()
    try:
        yield Machines(engine_url(start_engine(instance, Step("engine"))))
    finally:
        stop_engine(instance)


def distributed(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Each",
        "States": {"Each": state},
    }
    each = {"Type": "Map", "Label": "Items", "ItemProcessor": processor, "MaxConcurrency": 40, "End": True}
    return {"StartAt": "Items", "States": {"Items": {**each, **fields}}}


def writer(**config: str) -> dict[str, Any]:
    given = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": BUCKET, "Prefix.$": "$.prefix"}}
    return {**given, "WriterConfig": config} if config else given


PASS = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.input %}", "End": True}


class TestResults:
    def test_they_lie_under_a_manifest_that_the_state_answers(self, machines: Machines) -> None:
        definition = distributed(PASS, ItemsPath="$.items", ResultWriter=writer())
        output = machines.output(definition, {"items": [1, {"a": 2}], "prefix": "plain"})
        assert output.keys() == {"MapRunArn", "ResultWriterDetails"}
        run = output["MapRunArn"].rsplit(":", 1)[-1]
        assert output["ResultWriterDetails"]["Key"] == f"plain/{run}/manifest.json"
        files = machines.results(output)
        assert files.keys() == {"SUCCEEDED"}
        record = files["SUCCEEDED"][1]
        assert (record["Input"], record["Output"], record["Status"]) == ('{"a": 2}', '{"a": 2}', "SUCCEEDED")
        assert record["ExecutionArn"].endswith(f"/Items:{record['Name']}")

    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            ({"OutputType": "JSONL", "Transformation": "COMPACT"}, [[1, 2], 3]),
            ({"OutputType": "JSON", "Transformation": "FLATTEN"}, [1, 2, 3]),
        ],
    )
    def test_they_are_written_as_the_state_says(
        self, machines: Machines, config: dict[str, str], expected: list[Any]
    ) -> None:
        definition = distributed(PASS, ItemsPath="$.items", ResultWriter=writer(**config))
        output = machines.output(definition, {"items": [[1, 2], 3], "prefix": "formed"})
        assert machines.results(output) == {"SUCCEEDED": expected}

    def test_without_a_bucket_they_are_the_states_output(self, machines: Machines) -> None:
        assert machines.output(distributed(PASS, ItemsPath="$.items"), {"items": [1, [2]]}) == [1, [2]]

    def test_a_bucket_that_is_not_there_fails_the_state(self, machines: Machines) -> None:
        missing = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "nowhere", "Prefix": "x"}}
        found = machines.ended(
            machines.start(distributed(PASS, ItemsPath="$.items", ResultWriter=missing), {"items": [1]})
        )
        assert found["error"] == "States.ResultWriterFailed"


class TestItems:
    def test_they_are_read_from_lines_in_a_bucket(self, machines: Machines) -> None:
        machines.s3.put_object(Bucket=BUCKET, Key="given.jsonl", Body=b'{"n": 1}\n{"n": 2}\n')
        reader = {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {"Bucket": BUCKET, "Key.$": "$.key"},
        }
        definition = distributed(PASS, ItemReader=reader, ItemSelector={"it.$": "$$.Map.Item.Value"})
        assert machines.output(definition, {"key": "given.jsonl"}) == [{"it": {"n": 1}}, {"it": {"n": 2}}]

    def test_what_is_selected_for_each_is_its_executions_input(self, machines: Machines) -> None:
        state = {**PASS, "Output": "{% $states.context.Execution.Input.run %}"}
        definition = distributed(state, ItemsPath="$.items", ItemSelector={"run.$": "$.run"})
        assert machines.output(definition, {"items": [1, 2], "run": "wfl_1"}) == ["wfl_1", "wfl_1"]

    def test_the_state_may_speak_jsonata(self, machines: Machines) -> None:
        fields = {
            "QueryLanguage": "JSONata",
            "Items": "{% $states.input.items %}",
            "ItemSelector": {"n": "{% $states.context.Map.Item.Value + $states.input.more %}"},
            "MaxConcurrency": "{% $states.input.more %}",
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "Arguments": {"Bucket": BUCKET, "Prefix": "{% 'said-' & $string($states.input.more) %}"},
                "WriterConfig": {"OutputType": "JSON", "Transformation": "COMPACT"},
            },
            "Output": "{% $states.result.ResultWriterDetails.Key %}",
        }
        key = machines.output(distributed(PASS, **fields), {"items": [1, 2], "more": 3})
        assert key.startswith("said-3/")
        assert json.loads(machines.read(key.replace("manifest.json", "SUCCEEDED_0.json"))) == [{"n": 4}, {"n": 5}]

    def test_no_more_are_begun_at_once_than_the_state_allows(self, machines: Machines) -> None:
        definition = distributed(machines.order(), ItemsPath="$.items", MaxConcurrencyPath="$.most")
        del definition["States"]["Items"]["MaxConcurrency"]
        arn = machines.start(definition, {"items": [1, 2, 3], "most": 2})
        first, second = machines.orders(2)
        assert machines.quiet()
        (run,) = machines.states.list_map_runs(executionArn=arn)["mapRuns"]
        counts = machines.states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
        assert (counts["running"], counts["pending"], counts["total"]) == (2, 1, 3)
        machines.succeed(first)
        (third,) = machines.orders(1)
        for order in (second, third):
            machines.succeed(order)
        assert machines.ended(arn)["status"] == "SUCCEEDED"

    def test_forty_at_once_are_each_answered_with_their_own(self, machines: Machines) -> None:
        definition = distributed(machines.order(), ItemsPath="$.items")
        arn = machines.start(definition, {"items": list(range(40))})
        for order in machines.orders(40):
            machines.succeed(order, order["input"])
        assert json.loads(machines.ended(arn)["output"]) == list(range(40))


class TestFailures:
    def test_as_many_as_are_tolerated_are_among_the_results(self, machines: Machines) -> None:
        definition = distributed(
            machines.order(),
            ItemsPath="$.items",
            ToleratedFailurePercentagePath="$.percent",
            ResultWriter=writer(OutputType="JSONL", Transformation="COMPACT"),
        )
        arn = machines.start(definition, {"items": ["good", "bad"], "percent": 50, "prefix": "some"})
        for order in machines.orders(2):
            if order["input"] == "bad":
                machines.fail(order, "no_good")
            else:
                machines.succeed(order, "done")
        files = machines.results(json.loads(machines.ended(arn)["output"]))
        assert files["SUCCEEDED"] == ["done"]
        (failed,) = files["FAILED"]
        assert (failed["Error"], failed["Cause"], failed["Input"]) == ("no_good", "told to", '"bad"')

    def test_one_more_fails_the_state_and_begins_no_others(self, machines: Machines) -> None:
        definition = distributed(
            machines.order(), ItemsPath="$.items", MaxConcurrency=1, ToleratedFailureCount=1, ResultWriter=writer()
        )
        arn = machines.start(definition, {"items": [1, 2, 3], "prefix": "many"})
        for _ in range(2):
            machines.fail(machines.orders(1)[0], "no_good")
        assert machines.ended(arn)["error"] == "States.ExceedToleratedFailureThreshold"
        assert machines.quiet()
        manifests = machines.s3.list_objects_v2(Bucket=BUCKET, Prefix="many/")["Contents"]
        assert {each["Key"].rsplit("/", 1)[-1] for each in manifests} == {
            "FAILED_0.json",
            "PENDING_0.json",
            "manifest.json",
        }


class TestStopping:
    def test_a_stopped_execution_begins_no_further_items_and_leaves_no_state_waiting(self, machines: Machines) -> None:
        state = machines.order(Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0}])
        arn = machines.start(distributed(state, ItemsPath="$.items", MaxConcurrency=1), {"items": [1, 2, 3]})
        (order,) = machines.orders(1)
        machines.states.stop_execution(executionArn=arn, cause="enough")
        assert machines.quiet()
        found = machines.states.describe_execution(executionArn=arn)
        assert (found["status"], found["cause"]) == ("ABORTED", "enough")
        with pytest.raises(ClientError, match=r"TaskDoesNotExist|TaskTimedOut"):
            machines.succeed(order)
        (run,) = machines.states.list_map_runs(executionArn=arn)["mapRuns"]
        described = machines.states.describe_map_run(mapRunArn=run["mapRunArn"])
        assert described["status"] == "ABORTED"
        assert (described["itemCounts"]["aborted"], described["itemCounts"]["pending"]) == (1, 2)

    def test_no_branch_goes_on(self, machines: Machines) -> None:
        branch = {"StartAt": "A", "States": {"A": machines.order(Next="B"), "B": machines.order()}}
        again = {"StartAt": "C", "States": {"C": machines.order(Next="D"), "D": machines.order()}}
        definition = {
            "StartAt": "Both",
            "States": {"Both": {"Type": "Parallel", "Branches": [branch, again], "End": True}},
        }
        arn = machines.start(definition, {})
        machines.orders(2)
        machines.states.stop_execution(executionArn=arn)
        assert machines.quiet()
        assert machines.states.describe_execution(executionArn=arn)["status"] == "ABORTED"


class TestStarting:
    def test_the_same_start_is_the_same_execution_while_it_runs(self, machines: Machines) -> None:
        machine = machines.create({"StartAt": "Ask", "States": {"Ask": machines.order()}})
        start = {"stateMachineArn": machine, "name": "once", "input": "{}"}
        first = machines.states.start_execution(**start)
        assert machines.states.start_execution(**start)["executionArn"] == first["executionArn"]
        (order,) = machines.orders(1)
        assert machines.quiet()
        with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
            machines.states.start_execution(**{**start, "input": '{"other": 1}'})
        machines.succeed(order)
        machines.ended(first["executionArn"])
        with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
            machines.states.start_execution(**start)


class TestStates:
    def test_branches_wait_for_tokens_of_their_own(self, machines: Machines) -> None:
        branches = [{"StartAt": f"B{n}", "States": {f"B{n}": machines.order()}} for n in range(8)]
        definition = {
            "StartAt": "All",
            "States": {"All": {"Type": "Parallel", "Branches": branches, "End": True}},
        }
        arn = machines.start(definition, {})
        orders = machines.orders(8)
        assert len({order["token"] for order in orders}) == 8
        assert {order["state"]["Name"] for order in orders} == {f"B{n}" for n in range(8)}
        for order in orders:
            machines.succeed(order, order["state"]["Name"])
        assert json.loads(machines.ended(arn)["output"]) == [f"B{n}" for n in range(8)]

    def test_a_retry_asks_anew_and_a_caught_error_can_be_told(self, machines: Machines) -> None:
        caught = {"ErrorEquals": ["no_good"], "Output": "{% $states.errorOutput %}", "Next": "End"}
        state = machines.order(
            Retry=[{"ErrorEquals": ["no_good"], "MaxAttempts": 1, "IntervalSeconds": 0}], Catch=[caught], Next="End"
        )
        definition = {
            "QueryLanguage": "JSONata",
            "StartAt": "Ask",
            "States": {"Ask": state, "End": {"Type": "Succeed"}},
        }
        arn = machines.start(definition, {})
        for count in range(2):
            (order,) = machines.orders(1)
            assert order["state"]["RetryCount"] == count
            machines.fail(order, "no_good")
        assert json.loads(machines.ended(arn)["output"]) == {"Error": "no_good", "Cause": "told to"}

    def test_messages_have_their_group_and_are_known_again(self, machines: Machines) -> None:
        machines.start({"StartAt": "Ask", "States": {"Ask": machines.order()}}, {})
        answer = eventually(
            lambda: machines.sqs.receive_message(QueueUrl=machines.queue_url, AttributeNames=["All"]).get("Messages"),
            "the order",
            every=0.1,
        )
        attributes = answer[0]["Attributes"]
        assert len(attributes["MessageGroupId"]) == 64
        assert len(attributes["MessageDeduplicationId"]) == 32
        machines.sqs.delete_message(QueueUrl=machines.queue_url, ReceiptHandle=answer[0]["ReceiptHandle"])


def test_the_default_bus_is_told_how_an_execution_ends(machines: Machines) -> None:
    told = machines.sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = machines.sqs.get_queue_attributes(QueueUrl=told, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    machine = machines.create({"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}})
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine]},
    }
    machines.events.put_rule(Name="ends", EventPattern=json.dumps(pattern))
    machines.events.put_targets(Rule="ends", Targets=[{"Id": "queue", "Arn": arn}])
    machines.states.start_execution(stateMachineArn=machine, name="wfl_1-0", input='{"a": 1}')
    (message,) = eventually(
        lambda: machines.sqs.receive_message(QueueUrl=told).get("Messages"), "the event", seconds=20, every=0.1
    )
    detail = json.loads(message["Body"])["detail"]
    assert (detail["name"], detail["status"], detail["output"]) == ("wfl_1-0", "SUCCEEDED", '{"a": 1}')
    assert "Messages" not in machines.sqs.receive_message(QueueUrl=told, WaitTimeSeconds=1)


def test_an_engine_whose_states_wait_ends_by_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    instance = Instance(root=tmp_path_factory.mktemp("waiting"), port=0, owner_pid=os.getpid())
    instance.make_directories()
    try:
        machines = Machines(engine_url(start_engine(instance, Step("engine"))))
        inline = {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Each", "States": {"Each": machines.order()}},
            "ItemsPath": "$.items",
            "End": True,
        }
        machines.start({"StartAt": "Map", "States": {"Map": inline}}, {"items": [1, 2]})
        machines.start(distributed(machines.order(), ItemsPath="$.items"), {"items": [1, 2]})
        machines.orders(4)
        assert stop_engine(instance)
    finally:
        stop_engine(instance)
