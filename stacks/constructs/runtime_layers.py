"""The layers all functions of a stack share."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.bundling import Bundles
from stacks.bundling.target import Target

_ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


class RuntimeLayers(Construct):
    """Third-party packages and Flotilla's library, as layer versions of this stack.

    Each stack has its own of the same uploaded content: a layer version shared between stacks could not be replaced
    while the other stack still uses it.

    Attributes:
        layers: In the order a function attaches them.
        runtime: What they were built for.
        architecture: What they were built for.
    """

    def __init__(self, scope: Construct, construct_id: str, *, bundles: Bundles, fleet: str) -> None:
        super().__init__(scope, construct_id)
        self.runtime = runtime_of(bundles.target)
        self.architecture = _ARCHITECTURES[bundles.target.architecture]
        self.layers = [
            self._layer("Dependencies", str(bundles.dependencies), f"Third-party packages of {fleet}"),
            self._layer("Flotilla", str(bundles.library), f"Flotilla's library and the agents of {fleet}"),
        ]

    def _layer(self, construct_id: str, path: str, description: str) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            construct_id,
            code=lambda_.Code.from_asset(path),
            description=description,
            compatible_runtimes=[self.runtime],
            compatible_architectures=[self.architecture],
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )


def runtime_of(target: Target) -> lambda_.Runtime:
    """The Lambda runtime of a target."""
    return lambda_.Runtime(f"python{target.python}", lambda_.RuntimeFamily.PYTHON)
