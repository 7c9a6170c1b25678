"""Rules of cdk-nag that a construct does not follow, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import aws_cdk as cdk
from constructs import Construct

from stacks.constructs.permissions import Permission


def acknowledge(construct: Construct, reasons: Mapping[str, str]) -> None:
    """Says why `construct` may break each rule.

    Args:
        construct: What the rules would complain of.
        reasons: By rule, or by one finding of it as `Rule[Finding]`.
    """
    if reasons:
        rules = [cdk.Acknowledgment(id=rule, reason=reason) for rule, reason in reasons.items()]
        cdk.Validations.of(construct).acknowledge(*rules)


def acknowledge_wildcards(role: Construct, permissions: Iterable[Permission]) -> None:
    """Says of each resource with a star why it cannot be named. A star without a reason stays a finding."""
    stack = cdk.Stack.of(role)
    findings: dict[str, str] = {}
    for permission in permissions:
        if permission.wildcard_reason:
            for resource in permission.resources:
                finding = f"AwsSolutions-IAM5[Resource::{_as_reported(stack, resource)}]"
                findings[finding] = permission.wildcard_reason
    acknowledge(role, findings)


def _as_reported(stack: cdk.Stack, arn: str) -> str:
    """An ARN of literals and pseudo parameters, e.g. `arn:<AWS::Partition>:s3:::name/*`."""
    resolved = stack.resolve(arn)
    if isinstance(resolved, str):
        return resolved
    _, parts = resolved["Fn::Join"]
    return "".join(part if isinstance(part, str) else f"<{part['Ref']}>" for part in parts)
