"""Synthesizes the app in this process, as `cdk synth` would, and reads what comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]

ACCOUNT = "111122223333"
REGION = "eu-central-1"

_NAMES = (
    *("TableName", "QueueName", "BucketName", "FunctionName", "LogGroupName", "TopicName", "StateMachineName"),
    *("AlarmName", "Name"),
)
"""Properties that name a resource."""

_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
}


def synthesize(
    out: Path, *, local: bool = False, settings: Path | None = None, prepare: Callable[[Any], None] = lambda _app: None
) -> Path:
    """Synthesizes into `out`.

    Args:
        out: Becomes the cloud assembly.
        local: For the embedded engine.
        settings: Another `fleet.toml`.
        prepare: Is given the app before it is synthesized.
    """
    from app import compose

    # isort: split
    import aws_cdk as cdk

    context = json.loads((REPOSITORY / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(outdir=str(out), context={**context, "local": str(local).lower()})
    compose(app, settings or REPOSITORY / "fleet.toml")
    prepare(app)
    app.synth()
    return out


@dataclass
class Templates:
    """The templates of an assembly, and what their references will be once deployed.

    Attributes:
        directory: The cloud assembly.
    """

    directory: Path
    _by_stack: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_stack = {
            path.name.removesuffix(".template.json"): json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(self.directory.glob("*.template.json"))
        }

    def __getitem__(self, stack: str) -> dict[str, Any]:
        return self._by_stack[stack]

    def __iter__(self) -> Any:
        return iter(self._by_stack)

    def resources(self, kind: str) -> list[Resource]:
        """All resources of a type, in all stacks."""
        return [
            Resource(self, stack, name, body)
            for stack, template in self._by_stack.items()
            for name, body in template["Resources"].items()
            if body["Type"] == kind
        ]

    def one(self, kind: str, **properties: Any) -> Resource:
        """The only resource of a type with these properties."""
        found = [each for each in self.resources(kind) if properties.items() <= each.properties.items()]
        assert len(found) == 1, f"{len(found)} resources of type {kind} with {properties}"
        return found[0]

    @property
    def schedule_role(self) -> Resource:
        """The role that EventBridge Scheduler acts as."""
        (role,) = [
            role
            for role in self.resources("AWS::IAM::Role")
            if "scheduler.amazonaws.com" in json.dumps(role.body["Properties"]["AssumeRolePolicyDocument"])
        ]
        return role

    def resolve(self, stack: str, value: Any) -> Any:
        """`value` with every reference replaced by what it will be."""
        match value:
            case {"Ref": name}:
                return _PSEUDO.get(name) or self._resource(stack, name).reference
            case {"Fn::GetAtt": [name, "Arn"]}:
                return self._resource(stack, name).arn
            case {"Fn::GetAtt": [name, "StreamArn"]}:
                return f"{self._resource(stack, name).arn}/stream/newest"
            case {"Fn::GetAtt": [name, attribute]}:
                return f"{name}.{attribute}"
            case {"Fn::Join": [separator, parts]}:
                return separator.join(self.resolve(stack, part) for part in parts)
            case {"Fn::Sub": str(text)}:
                for name, replacement in _PSEUDO.items():
                    text = text.replace(f"${{{name}}}", replacement)
                return text
            case {"Fn::GetStackOutput": {"StackName": other, "OutputName": output}}:
                return self.resolve(other, self._by_stack[other]["Outputs"][output]["Value"])
            case dict():
                return {key: self.resolve(stack, each) for key, each in value.items()}
            case list():
                return [self.resolve(stack, each) for each in value]
        return value

    def _resource(self, stack: str, name: str) -> Resource:
        return Resource(self, stack, name, self._by_stack[stack]["Resources"][name])


@dataclass
class Resource:
    """One resource of a template."""

    templates: Templates
    stack: str
    logical_id: str
    body: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """Its properties, references resolved."""
        resolved: dict[str, Any] = self.templates.resolve(self.stack, self.body["Properties"])
        return resolved

    @property
    def reference(self) -> str:
        """What `Ref` answers."""
        name = self._name
        if self.body["Type"] == "AWS::SQS::Queue":
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
        return self.arn if self.body["Type"] in ("AWS::SNS::Topic", "AWS::StepFunctions::StateMachine") else name

    @property
    def arn(self) -> str:
        """What `GetAtt Arn` answers."""
        place = f"{REGION}:{ACCOUNT}"
        name = self._name
        return {
            "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{place}:alarm:{name}",
            "AWS::CloudWatch::CompositeAlarm": f"arn:aws:cloudwatch:{place}:alarm:{name}",
            "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{place}:table/{name}",
            "AWS::Events::EventBus": f"arn:aws:events:{place}:event-bus/{name}",
            "AWS::Events::Rule": f"arn:aws:events:{place}:rule/{name}",
            "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{name}",
            "AWS::Lambda::Function": f"arn:aws:lambda:{place}:function:{name}",
            "AWS::Logs::LogGroup": f"arn:aws:logs:{place}:log-group:{name}:*",
            "AWS::S3::Bucket": f"arn:aws:s3:::{name}",
            "AWS::SNS::Topic": f"arn:aws:sns:{place}:{name}",
            "AWS::Scheduler::ScheduleGroup": f"arn:aws:scheduler:{place}:schedule-group/{name}",
            "AWS::SQS::Queue": f"arn:aws:sqs:{place}:{name}",
            "AWS::StepFunctions::StateMachine": f"arn:aws:states:{place}:stateMachine:{name}",
        }[self.body["Type"]]

    @property
    def asset(self) -> Path:
        """The directory that is uploaded as its code or content."""
        properties = self.body["Properties"]
        key = (properties.get("Code") or properties["Content"])["S3Key"].removesuffix(".zip")
        listed = json.loads((self.templates.directory / f"{self.stack}.assets.json").read_text(encoding="utf-8"))
        return self.templates.directory / str(listed["files"][key]["source"]["path"])

    @property
    def _name(self) -> str:
        properties = self.body.get("Properties", {})
        for key in _NAMES:
            if key in properties and self.body["Type"] != "AWS::Lambda::EventSourceMapping":
                return str(self.templates.resolve(self.stack, properties[key]))
        return self.logical_id
