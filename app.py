"""Composes the stacks. No AWS calls, no logic."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import stacks  # noqa: F401  says which Node the CDK library runs, before it is imported

# isort: split
import aws_cdk as cdk

from stacks.alarms_stack import AlarmsStack
from stacks.api_stack import ApiStack
from stacks.bundling import BundlingError, make_bundles
from stacks.config import ConfigError, load
from stacks.dispatch_stack import DispatchStack
from stacks.followers_stack import FollowersStack
from stacks.lanes_stack import LanesStack
from stacks.local_differences import Place
from stacks.state_stack import StateStack
from stacks.workers_stack import WorkersStack
from stacks.workflow_definitions import definitions_of
from stacks.workflows_stack import WorkflowsStack

REPOSITORY = Path(__file__).resolve().parent


def compose(app: cdk.App, settings_file: Path) -> None:
    """Puts the fleet that `settings_file` describes into `app`.

    Raises:
        ConfigError: The settings cannot be used.
        BundlingError: A layer or a function could not be built.
    """
    place = Place.of(app.node)
    fleet = load(settings_file, local=place.local, model_server=place.model_server)
    workflows = definitions_of(fleet, REPOSITORY / "statemachines", settings_file)
    bundles = make_bundles(fleet, place, REPOSITORY, workflows)

    state = StateStack(app, f"{fleet.name}-state", fleet=fleet, place=place)
    lanes = LanesStack(app, f"{fleet.name}-lanes", fleet=fleet)
    workers = WorkersStack(app, f"{fleet.name}-workers", fleet=fleet, bundles=bundles, state=state, lanes=lanes)
    dispatch = DispatchStack(app, f"{fleet.name}-dispatch", fleet=fleet, bundles=bundles, state=state, lanes=lanes)
    machines = WorkflowsStack(app, f"{fleet.name}-workflows", fleet=fleet, bundles=bundles, state=state, lanes=lanes)
    api = ApiStack(app, f"{fleet.name}-api", fleet=fleet, bundles=bundles, state=state, lanes=lanes)
    FollowersStack(
        app, f"{fleet.name}-followers", fleet=fleet, place=place, bundles=bundles, state=state, lanes=lanes, api=api
    )
    AlarmsStack(app, f"{fleet.name}-alarms", fleet=fleet, place=place, api=api)
    machines.add_stack_dependency(workers, "No state may ask for a task in words that no worker knows yet.")
    # What the API accepts, those who bring it to its end must already know.
    api.add_stack_dependency(workers, "The API must not accept what no worker knows yet.")
    api.add_stack_dependency(dispatch, "The API must not accept what cannot be brought to its lane yet.")
    api.add_stack_dependency(machines, "The API must not accept runs of workflows that are not there yet.")
    cdk.Tags.of(app).add("application", fleet.name)


def main() -> None:
    """Synthesizes; what the operator can mend is said in one message, without a stack trace."""
    app = cdk.App()
    try:
        compose(app, Path(os.environ.get("FLOTILLA_CONFIG") or REPOSITORY / "fleet.toml"))
    except (ConfigError, BundlingError) as error:
        sys.exit(f"flotilla: {error}")
    app.synth()


if __name__ == "__main__":
    main()
