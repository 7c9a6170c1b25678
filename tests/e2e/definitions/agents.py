"""The agents that the shipped definitions name: whether what a state asks for is what its agent takes."""

from __future__ import annotations

from collections.abc import Iterable

from flotilla.agents.decorator import AgentDefinition, definition_of
from functions.worker.agents import approvals, document_workflow, loop
from tests.e2e.definitions.stage import Order

SHIPPED: dict[str, AgentDefinition] = {
    found.name: found
    for module in (approvals, document_workflow, loop)
    for each in vars(module).values()
    if (found := definition_of(each)) is not None
}


def checked(orders: Iterable[Order]) -> set[str]:
    """The agents that were asked, each for what it takes.

    Raises:
        ValidationError: For something else.
    """
    asked = set()
    for order in orders:
        if order.agent in SHIPPED:
            SHIPPED[order.agent].input_adapter.validate_python(order.input)
            asked.add(order.agent)
    return asked
