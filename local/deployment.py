"""Deploys a cloud assembly into the engine with the real `cdk deploy`, and adds what the engine drops.

What is deployed already is not deployed again, provided that the engine still has it: after a crash it may have less
than its records say. Nothing here can reach another endpoint than the engine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.clients import client
from local.environment import deploy_environment
from local.instance import ACCOUNT, REGION, Instance, read_json, replace_file
from local.progress import Step
from local.synthesis import CDK_COMMAND, DeploymentError, run_cdk, stack_templates

_BOOTSTRAP_STACK = "CDKToolkit"
_FAILED = ("FAILED", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")


def bootstrap(instance: Instance, engine_url: str, step: Step) -> None:
    """Gives the engine the bucket and roles that `cdk deploy` needs, unless it has them."""
    if _BOOTSTRAP_STACK in _deployed_stacks(engine_url):
        step.skip("done before")
        return
    command: list[str | Path] = [CDK_COMMAND, "bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", "", "--ci"]
    run_cdk(instance, command, environment=deploy_environment(instance, engine_url), log="bootstrap", step=step)


def deploy(instance: Instance, engine_url: str, assembly: Path, step: Step) -> bool:
    """Makes the engine have what the assembly says.

    Returns:
        Whether there was anything to do.

    Raises:
        DeploymentError: A stack could not be deployed.
    """
    templates = stack_templates(assembly)
    record = instance.run / "deployed.json"
    deployed = read_json(record)
    if deployed == {"assembly": assembly.name} and set(templates) <= _deployed_stacks(engine_url):
        step.skip("unchanged")
        return False
    record.unlink(missing_ok=True)
    command: list[str | Path] = [
        CDK_COMMAND, "deploy", "--all", "--app", assembly, "--require-approval", "never",
        # The engine's change sets overlook what changes a stack's outputs only, and other stacks read them.
        "--method", "direct", "--progress", "events", "--ci", "--outputs-file", _outputs_file(instance),
    ]  # fmt: skip
    run_cdk(instance, command, environment=deploy_environment(instance, engine_url), log="deploy", step=step)
    add_what_is_dropped(engine_url, templates)
    replace_file(record, json.dumps({"assembly": assembly.name}))
    return True


def outputs(instance: Instance) -> dict[str, str]:
    """What the stacks put out, all stacks together.

    Raises:
        DeploymentError: There are none on record.
    """
    by_stack = read_json(_outputs_file(instance))
    if by_stack is None:
        raise DeploymentError(f"no outputs in {_outputs_file(instance)}; 'make clean up' starts anew")
    return {key: str(value) for stack in by_stack.values() for key, value in stack.items()}


def add_what_is_dropped(engine_url: str, templates: dict[str, dict[str, Any]]) -> None:
    """Sets by the services' own APIs what the templates say and the engine ignores in a template."""
    functions = client("lambda", engine_url)
    tables = client("dynamodb", engine_url)
    for stack, template in templates.items():
        physical = _physical_ids(engine_url, stack)
        for logical, resource in template.get("Resources", {}).items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::Lambda::Function":
                _complete_function(functions, physical[logical], properties)
            elif resource["Type"] == "AWS::DynamoDB::Table" and "TimeToLiveSpecification" in properties:
                expiry = properties["TimeToLiveSpecification"]
                tables.update_time_to_live(TableName=physical[logical], TimeToLiveSpecification=expiry)


def _complete_function(functions: Any, name: str, properties: dict[str, Any]) -> None:
    reserved = properties.get("ReservedConcurrentExecutions")
    if reserved is not None:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=int(reserved))
    loop = properties.get("RecursiveLoop", "Terminate")
    functions.put_function_recursion_config(FunctionName=name, RecursiveLoop=loop)


def _physical_ids(engine_url: str, stack: str) -> dict[str, str]:
    pages = client("cloudformation", engine_url).get_paginator("list_stack_resources").paginate(StackName=stack)
    return {
        str(resource["LogicalResourceId"]): str(resource["PhysicalResourceId"])
        for page in pages
        for resource in page["StackResourceSummaries"]
    }


def _deployed_stacks(engine_url: str) -> set[str]:
    pages = client("cloudformation", engine_url).get_paginator("describe_stacks").paginate()
    return {
        str(stack["StackName"])
        for page in pages
        for stack in page["Stacks"]
        if stack["StackStatus"].endswith("_COMPLETE") and not stack["StackStatus"].endswith(_FAILED)
    }


def _outputs_file(instance: Instance) -> Path:
    return instance.run / "outputs.json"
