"""Imports point one way, so that what is pure stays pure and a simulator can take the place of AWS."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LIBRARY = REPOSITORY / "layers" / "flotilla" / "python" / "flotilla"

BOTTOM = {"errors", "clock", "models", "broadcast", "coordination", "read_model", "trace_context"}
PURE = BOTTOM | {"events", "primitives"}
ADAPTERS = {
    "bedrock",
    "cloudwatch",
    "dynamo",
    "eventbridge",
    "lambda_scaling",
    "outbound",
    "s3",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "stepfunctions",
}
PORTS = {
    "ports",
    "attempt_ports",
    "broadcast_ports",
    "budget_ports",
    "canary_ports",
    "circuit_ports",
    "integration_ports",
    "limit_ports",
    "llm_ports",
    "metric_ports",
    "retention_ports",
    "scaling_ports",
    "usage_ports",
    "workflow_ports",
}

# Part of the library → parts it may import.
ALLOWED = {
    "errors": set(),
    "clock": set(),
    "models": {"errors"},
    "broadcast": {"errors", "models"},
    "coordination": {"models"},
    "read_model": {"models"},
    "trace_context": set(),
    "events": BOTTOM,
    "primitives": BOTTOM,
    **dict.fromkeys(PORTS, PURE),
    "budget_declaration": set(),
    "protection_declaration": {"primitives"},
    "integrations": PURE | PORTS | {"protection_declaration"},
    "limits": PURE | PORTS,
    "llm": PURE | PORTS | {"integrations", "protection_declaration"},
    "workflows": PURE | PORTS,
    "agents": PURE | PORTS | {"integrations", "llm"},
    "services": PURE | PORTS | {"agents", "integrations", "llm", "workflows"},
    **dict.fromkeys(ADAPTERS, PURE | PORTS),
    "runtime": PURE | PORTS,
}

KNOW_NO_AWS = {*PURE, *PORTS, "services"}
AWS = {"boto3", "botocore", "os", "socket", "urllib"}


def modules(root: Path) -> Iterator[Path]:
    yield from (path for path in sorted(root.rglob("*.py")) if "__pycache__" not in path.parts)


def imports(path: Path) -> set[str]:
    """Modules that are imported when the code runs; what only a type checker sees is left out."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            # `from flotilla import errors` imports the part that it names.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        waiting.extend(ast.iter_child_nodes(node))
    return found


def part_of(module: str) -> str | None:
    names = module.split(".")
    return names[1] if names[0] == "flotilla" and len(names) > 1 else None


def library_parts() -> list[str]:
    return sorted({path.relative_to(LIBRARY).parts[0].removesuffix(".py") for path in modules(LIBRARY)} - {"__init__"})


@pytest.mark.parametrize("part", library_parts())
def test_a_part_of_the_library_imports_only_what_lies_below_it(part: str) -> None:
    for path in modules(LIBRARY):
        if path.relative_to(LIBRARY).parts[0].removesuffix(".py") == part:
            imported = {below for module in imports(path) if (below := part_of(module))}
            assert imported <= ALLOWED[part] | {part}, path


@pytest.mark.parametrize("part", sorted(KNOW_NO_AWS))
def test_what_decides_knows_neither_aws_nor_its_environment(part: str) -> None:
    for path in modules(LIBRARY):
        if path.relative_to(LIBRARY).parts[0].removesuffix(".py") == part:
            assert not {module.split(".")[0] for module in imports(path)} & AWS, path


def test_only_handlers_and_their_wiring_know_adapters() -> None:
    for path in modules(REPOSITORY / "functions"):
        if path.name not in ("handler.py", "wiring.py", "service_wiring.py", "calling.py"):
            assert not {part_of(module) for module in imports(path)} & ADAPTERS, path


def test_functions_do_not_import_each_other() -> None:
    root = REPOSITORY / "functions"
    for path in modules(root):
        own = path.relative_to(root).parts[0]
        others = {module.split(".")[1] for module in imports(path) if module.startswith("functions.")} - {own}
        assert not others, path


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("layers/flotilla/python", {"functions", "stacks", "local", "cli", "tests", "capacity"}),
        ("functions", {"stacks", "local", "cli", "tests", "capacity"}),
        ("stacks", {"flotilla", "functions", "local", "cli", "tests", "boto3", "botocore"}),
        ("capacity", {"flotilla", "functions", "stacks", "local", "cli", "tests", "boto3", "botocore"}),
        ("local", {"flotilla", "functions", "stacks", "tests"}),
        ("cli", {"functions", "stacks", "tests"}),
    ],
)
def test_what_is_deployed_and_what_deploys_it_know_nothing_of_each_other(package: str, forbidden: set[str]) -> None:
    found = list(modules(REPOSITORY / package))
    assert found
    for path in found:
        # A plan is made of settings, as synth reads them, and of nothing that is deployed.
        allowed = {"stacks"} if path == REPOSITORY / "cli" / "plan.py" else set()
        assert not {module.split(".")[0] for module in imports(path)} & (forbidden - allowed), path
