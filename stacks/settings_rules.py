"""What `fleet.toml` must satisfy beyond each key by itself.

These are the mistakes that deploy well and fail later: under load, or only when something else breaks.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stacks import budget_settings, model_settings, scaling_settings, tenant_settings
from stacks.background import reserved_concurrency
from stacks.integration_settings import ANY, mistakes
from stacks.settings_model import Fleet, Lane

LADDER_NAME = "delays"
"""The delay ladder's dead letter queue is named as that of a lane of this name would be."""

UNRESERVED_CONCURRENCY = 100
"""Lambda refuses a reservation that leaves an account less than this."""

LEASE_MARGIN_SECONDS = 3
"""What a worker keeps of an invocation to commit and answer after the last task's time is up."""

RECEIVES_BEYOND_ATTEMPTS = 10
"""Receives kept for throttling, crashes and waits: the receive count is a backstop, never the limit of attempts."""


@dataclass(frozen=True)
class Problem:
    """One mistake: which key, and what is allowed instead."""

    path: tuple[str, ...]
    message: str


def problems_of(fleet: Fleet) -> Iterator[Problem]:
    """What is wrong with settings that are each valid by themselves."""
    yield from _lane_problems(fleet)
    yield from _concurrency_problems(fleet)
    yield from _delay_problems(fleet)
    if fleet.retention.archive_days < fleet.retention.days:
        yield Problem(
            ("retention", "archive_days"),
            f"must be at least retention.days ({fleet.retention.days}), not {fleet.retention.archive_days}: "
            "the archive is what is left of a task whose log has expired",
        )
    if fleet.broadcast.example_subscriber and not fleet.broadcast.topic:
        yield Problem(
            ("broadcast", "example_subscriber"), "must be false where broadcast.topic is: it subscribes to it"
        )
    yield from (Problem(path, message) for path, message in mistakes(fleet.integrations))
    yield from (Problem(path, message) for path, message in model_settings.mistakes(fleet.models))
    of_agents = {name: agent.budget_usd for name, agent in fleet.agents.items()}
    yield from (Problem(path, message) for path, message in budget_settings.mistakes(fleet.budgets, of_agents))
    yield from (Problem(path, message) for path, message in tenant_settings.mistakes(fleet.tenants))
    yield from _route_problems(fleet)
    if fleet.default_lane not in fleet.lanes:
        yield Problem(("default_lane",), no_such_lane(fleet.default_lane, fleet.lanes))
    for name, agent in fleet.agents.items():
        yield from _unknown_integrations(fleet, name, agent.integrations or ())
        yield from _unknown_routes(fleet, name, agent.routes or ())
        if agent.lane is not None and agent.lane not in fleet.lanes:
            yield Problem(("agents", name, "lane"), no_such_lane(agent.lane, fleet.lanes))
        elif agent.lane is not None and agent.timeout_seconds is not None:
            yield from _timeout_problems(fleet, name, agent.lane, agent.timeout_seconds)


def _lane_problems(fleet: Fleet) -> Iterator[Problem]:
    if LADDER_NAME in fleet.lanes:
        yield Problem(("lanes", LADDER_NAME), "is not allowed: the queues of the delay ladder have this name")
    for name, lane in fleet.lanes.items():
        if lane.reserved_concurrency < lane.maximum_concurrency:
            yield Problem(
                ("lanes", name, "reserved_concurrency"),
                f"must be at least maximum_concurrency ({lane.maximum_concurrency}), not {lane.reserved_concurrency}: "
                "throttled receives use up a message's receive count, and healthy work ends in the dead letters",
            )


def lane_pool(fleet: Fleet) -> int:
    """What all lanes together may have reserved, whoever of them has it."""
    others = sum(reserved_concurrency(fleet).values())
    return max(0, fleet.runtime.account_concurrency - UNRESERVED_CONCURRENCY - others)


def _concurrency_problems(fleet: Fleet) -> Iterator[Problem]:
    lanes = sum(lane.reserved_concurrency for lane in fleet.lanes.values())
    others = reserved_concurrency(fleet)
    available = fleet.runtime.account_concurrency - UNRESERVED_CONCURRENCY
    reserved = lanes + sum(others.values())
    bounds = scaling_settings.mistakes(fleet.scaler, fleet.lanes, lane_pool(fleet))
    yield from (Problem(path, message) for path, message in bounds)
    if reserved > available:
        listed = ", ".join(f"the {name} {amount}" for name, amount in others.items())
        yield Problem(
            ("lanes",),
            f"the functions reserve {reserved} concurrent executions (the lanes {lanes}, {listed}), allowed are "
            f"{available}: runtime.account_concurrency ({fleet.runtime.account_concurrency}) less the "
            f"{UNRESERVED_CONCURRENCY} that Lambda keeps unreserved",
        )


def _delay_problems(fleet: Fleet) -> Iterator[Problem]:
    tiers = fleet.delays.tiers_seconds
    if list(tiers) != sorted(set(tiers)):
        yield Problem(
            ("delays", "tiers_seconds"),
            f"{list(tiers)} is not allowed; allowed: each tier once, the shortest first: {sorted(set(tiers))}",
        )


def longest_agent_seconds(lane: Lane) -> int:
    """What an agent on the lane may take."""
    return lane.timeout_seconds - LEASE_MARGIN_SECONDS


def _timeout_problems(fleet: Fleet, agent: str, lane: str, timeout_seconds: float) -> Iterator[Problem]:
    allowed = longest_agent_seconds(fleet.lanes[lane])
    if timeout_seconds > allowed:
        yield Problem(
            ("agents", agent, "timeout_seconds"),
            f"must be at most {allowed}, not {timeout_seconds:g}: lane {lane!r} has timeout_seconds = "
            f"{fleet.lanes[lane].timeout_seconds}, of which {LEASE_MARGIN_SECONDS} are kept to commit the result",
        )


def _unknown_integrations(fleet: Fleet, agent: str, integrations: Iterable[str]) -> Iterator[Problem]:
    for name in integrations:
        if name != ANY and name not in fleet.integrations:
            known = one_of(name, fleet.integrations) if fleet.integrations else "there is no [integrations.<name>]"
            yield Problem(("agents", agent, "integrations"), f"no integration is named {name!r}; {known}")


def _unknown_routes(fleet: Fleet, agent: str, routes: Iterable[str]) -> Iterator[Problem]:
    for name in routes:
        if name != ANY and name not in fleet.routes:
            known = one_of(name, fleet.routes) if fleet.routes else "there is no [routes.<name>]"
            yield Problem(("agents", agent, "routes"), f"no route is named {name!r}; {known}")


def _route_problems(fleet: Fleet) -> Iterator[Problem]:
    for name, route in fleet.routes.items():
        path = ("routes", name, "models")
        unknown = [model for model in route.models if model not in fleet.models]
        for model in unknown:
            known = one_of(model, fleet.models) if fleet.models else "there is no [models.<name>]"
            yield Problem(path, f"no model is named {model!r}; {known}")
        if len(set(route.models)) < len(route.models):
            yield Problem(path, f"{list(route.models)} is not allowed; allowed: each model once")
        enough = model_settings.qualities_from(route.min_quality)
        if not unknown and not any(fleet.models[model].quality in enough for model in route.models):
            message = f"is not allowed: none of its models is of quality {route.min_quality!r}"
            yield Problem(("routes", name, "min_quality"), message)


def agent_problems(fleet: Fleet, manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong between the agents as they will be deployed and the lanes they run on.

    Args:
        fleet: The settings.
        manifest: The agent manifest, the operator's overrides applied.
    """
    for name, agent in manifest["agents"].items():
        lane = agent["lane"] or fleet.default_lane
        if lane not in fleet.lanes:
            yield Problem(("agents", name, "lane"), no_such_lane(lane, fleet.lanes))
            continue
        yield from _timeout_problems(fleet, name, lane, agent["timeout_seconds"])
        yield from _unknown_integrations(fleet, name, agent["integrations"])
        yield from _unknown_routes(fleet, name, agent["routes"])
        allowed = fleet.lanes[lane].max_receive_count - RECEIVES_BEYOND_ATTEMPTS
        if agent["max_attempts"] > allowed:
            yield Problem(
                ("agents", name, "max_attempts"),
                f"must be at most {allowed}, not {agent['max_attempts']}: every attempt is a receive, lane {lane!r} "
                f"has max_receive_count = {fleet.lanes[lane].max_receive_count}, and {RECEIVES_BEYOND_ATTEMPTS} are "
                "kept for crashes and waits",
            )


def no_such_lane(name: str, lanes: Iterable[str]) -> str:
    """What to say of a lane that is not there."""
    return f"no lane is named {name!r}; {one_of(name, lanes)}"


def one_of(given: str, allowed: Iterable[str]) -> str:
    """The allowed names, and the one that was probably meant."""
    names = sorted(allowed)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(names)}"
