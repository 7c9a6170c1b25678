"""What the pages on workflows and on migration have one do, done: in a copy of the repository, by the real command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from examples.migration.post_office import PORT, PostOffice
from tests.e2e.documented import Checkout, checkout
from tests.e2e.waiting import eventually
from tests.unit.docs.markdown import REPOSITORY, blocks
from tests.unit.docs.worked_example import WORKFLOWS, write

MIGRATION = REPOSITORY / "docs" / "migration.md"


def phase_4() -> str:
    """What the guide has one type in phase 4."""
    [block] = [block for block in blocks(MIGRATION, "bash") if "phase_4" in block]
    return block


@pytest.fixture(scope="module")
def office() -> Iterator[PostOffice]:
    with PostOffice(port=0) as office:
        threading.Thread(target=office.serve_forever, daemon=True).start()
        yield office
        office.shutdown()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, office: PostOffice) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("checkout")) as copy:
        for document in (WORKFLOWS, MIGRATION):
            write(copy.root, document)
        copy.bash("\n".join(line for line in phase_4().splitlines() if line.startswith("cp ")))
        settings = copy.root / "fleet.toml"
        [post] = [block for block in blocks(MIGRATION, "toml") if "integrations.post" in block]
        told = post.replace(str(PORT), str(office.server_port))
        settings.write_text(f"{settings.read_text(encoding='utf-8')}\n{told}", encoding="utf-8")
        yield copy


def runs(copy: Checkout, workflow: str, number: int) -> list[dict[str, Any]]:
    """The runs of a workflow when they have ended, the first one first."""

    def listed() -> list[Any]:
        found: list[Any] = copy.json(f"workflow list --name {workflow}")
        return found if len(found) == number else []

    found = eventually(listed, "all runs are listed", every=0.5)
    return [copy.json(f"workflow get {each['id']} --wait") for each in reversed(found)]


def test_the_worked_example_of_workflows_works_from_zero(copy: Checkout) -> None:
    """As shown: the files, the line, `make up`, and each command."""
    for block in blocks(WORKFLOWS, "bash"):
        if "expense-claim" in block:
            copy.bash(block)
    paid, sent_back, too_much = runs(copy, "expense-claim", 3)
    assert paid["output"]["paid"] is True
    assert paid["output"]["transfer"].startswith("transfer ")
    assert [(step["name"], step["status"]) for step in paid["steps"]] == [("Check", "succeeded"), ("Pay", "succeeded")]
    assert sent_back["output"] == {"paid": False, "why": "the receipt is missing"}
    assert (too_much["status"], too_much["error"]["code"]) == ("failed", "TooMuch")


def test_phase_4_of_the_migration_answers_letters_by_a_workflow(copy: Checkout, office: PostOffice) -> None:
    copy.bash(phase_4())
    first, second = runs(copy, "answer-letter", 2)
    assert first["output"] == {"outcome": "answered", "letter": "letter-01"}
    assert second["output"] == {"outcome": "filed"}
    assert [answer["letter"] for answer in office.taken.values()] == ["letter-01"]
