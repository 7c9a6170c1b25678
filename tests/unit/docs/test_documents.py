"""What the documents say is so: links lead somewhere, code runs, figures are the code's own."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cli.__main__ import parser
from cli.corpus import read_corpus
from flotilla.agents.decorator import definition_of
from flotilla.dynamo.api_keys import partition_key
from flotilla.events import Kind
from functions.api.problems import _KINDS as PROBLEMS
from functions.worker import diagnostics
from stacks.background import reserved_concurrency
from stacks.config import load
from tests.unit.docs.markdown import REPOSITORY, anchors, blocks, documents, links
from tests.unit.services.fleet import Fleet, run

README = REPOSITORY / "README.md"
WRITING_AGENTS = REPOSITORY / "docs" / "writing-agents.md"
EVENT_LOG = REPOSITORY / "docs" / "event-log.md"
API = REPOSITORY / "docs" / "api.md"

_BY_NAME = [pytest.param(path, id=str(path.relative_to(REPOSITORY))) for path in documents()]


def bash(script: str, *options: str, **environment: str) -> str:
    done = subprocess.run(
        ["/bin/bash", *options, "-c", script],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def module_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an importable module of code; the runtime imports agents by the name of theirs."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def make(code: str) -> ModuleType:
        name = f"documented_{hashlib.sha256(code.encode()).hexdigest()[:12]}"
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        names.append(name)
        return importlib.import_module(name)

    yield make
    for name in names:
        del sys.modules[name]


@pytest.mark.parametrize("path", _BY_NAME)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), link
        assert REPOSITORY in found.parents, link
        assert not anchor or anchor in anchors(found), link


@pytest.mark.parametrize("path", _BY_NAME)
def test_every_block_of_code_is_code(path: Path) -> None:
    for code in blocks(path, "python"):
        compile(code, str(path), "exec")
    for code in blocks(path, "bash"):
        bash(code, "-n")
    for code in blocks(path, "toml"):
        tomllib.loads(code)
    for code in blocks(path, "json"):
        json.loads(code)


def test_the_readmes_agent_runs(module_of: Any) -> None:
    [code] = blocks(README, "python")
    fleet = Fleet([module_of(code).digest])
    good = run(fleet.submit("report.digest", {"text": "\nAll is well\n\nDetails."})).state.task_id
    blank = run(fleet.submit("report.digest", {"text": " \n "})).state.task_id
    run(fleet.deliver(fleet.delivery(good), fleet.delivery(blank)))
    output = run(fleet.state(good)).output.inline
    assert output["headline"] == "All is well"
    assert re.fullmatch(r"https://files\.example/[0-9a-f]{32}", output["filed_as"])
    assert fleet.kinds(good) == ["accepted", "started", "step_recorded", "succeeded"]
    assert fleet.kinds(blank) == ["accepted", "started", "dead_lettered"]
    assert run(fleet.state(blank)).error.code == "blank_report"


def test_the_agents_of_writing_agents_run_and_so_does_their_test(module_of: Any) -> None:
    module = module_of("\n".join(blocks(WRITING_AGENTS, "python")))
    module.test_notice_is_given_before_the_end()
    fleet = Fleet([module.words, module.count])
    task = run(fleet.submit("text.words", "three short words")).state.task_id
    run(fleet.deliver(fleet.delivery(task)))
    assert run(fleet.state(task)).output.inline == 3
    for expected in (1, 2):
        task = run(fleet.submit("chat.count", {"text": "hello"}, session="s")).state.task_id
        run(fleet.deliver(fleet.delivery(task)))
        assert run(fleet.state(task)).output.inline == expected


def test_the_hash_chain_is_as_documented(module_of: Any, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = blocks(EVENT_LOG, "python")
    module_of(code)
    [said] = re.findall(r"print\(error\)  # (.+)", code)
    assert capsys.readouterr().out.strip() == said


def test_the_targets_of_make_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in documents():
        for code in blocks(path, "bash"):
            for line in code.splitlines():
                words = line.split("#")[0].split()
                if words[:1] == ["make"]:
                    assert set(words[1:]) <= targets, line


def commands(path: Path) -> list[list[str]]:
    """What follows `./flotilla` where the document says to type it, or shows that it was typed."""
    typed = "\n".join([*blocks(path, "bash"), *blocks(path, "")]).replace("\\\n", " ")
    lines = re.findall(r"^(?:\$ )?(\./flotilla .+)$", typed, re.MULTILINE)
    # As in a shell, and unlike in `shlex`, a comment begins with a word: the # of `integration#crm` begins none.
    return [shlex.split(re.sub(r"\s#.*$", "", line))[1:] for line in lines]


@pytest.mark.parametrize("path", _BY_NAME)
def test_every_command_that_is_shown_can_be_typed(path: Path) -> None:
    assert "python -m cli " not in path.read_text(encoding="utf-8"), "the command is ./flotilla"
    for words in commands(path):
        try:
            parser().parse_args(words)
        except SystemExit:
            pytest.fail(shlex.join(["./flotilla", *words]))


def test_every_command_is_shown() -> None:
    shown = {words[0] for path in documents() for words in commands(path)}
    usage = parser().format_help()
    for command in shown:
        assert re.search(rf"^ +{command} ", usage, re.MULTILINE), command
    missing = set(re.findall(r"^ {4}([a-z]+) ", usage, re.MULTILINE)) - shown
    assert missing == set()


def test_the_api_page_has_every_route_with_its_scope() -> None:
    handler = (REPOSITORY / "functions" / "api" / "handler.py").read_text(encoding="utf-8")
    routes = {
        (method, re.sub(r"\{\w+_id\}", "{id}", template), scope)
        for method, template, scope in re.findall(r'Route\("(\w+)", "([^"]+)", "?([\w:]+)"?,', handler)
    }
    [table] = re.findall(r"## Every route\n(.*?)\n## ", API.read_text(encoding="utf-8"), re.DOTALL)
    shown = {
        (method, path, scope.replace("no key", "None"))
        for calls, scope in re.findall(r"^\| (`.+?`) \| `?([\w: ]+?)`? \|", table, re.MULTILINE)
        for method, path in re.findall(r"`([A-Z]+) (\S+)`", calls)
    }
    assert len(routes) > 20
    assert shown == routes


def test_the_api_page_has_every_problem_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.+) \|$", API.read_text(encoding="utf-8"), re.MULTILINE)
    shown = {slug: int(status) for status, cell in rows for slug in re.findall(r"`/problems/([a-z-]+)`", cell)}
    assert shown == {slug: status for slug, (status, _, _) in PROBLEMS.items()}


def test_the_event_log_page_has_every_kind() -> None:
    text = EVENT_LOG.read_text(encoding="utf-8")
    [written] = re.findall(r"\| kind \| written by .*?\n\n", text, re.DOTALL)
    [unwritten] = re.findall(r"^(.+) is a kind that the fold knows and nothing writes", text, re.MULTILINE)
    shown = re.findall(r"^\| `(\w+)` \|", written, re.MULTILINE) + re.findall(r"`(\w+)`", unwritten)
    assert sorted(shown) == sorted(Kind)


def test_the_diagnostic_agents_are_those_that_are_deployed() -> None:
    deployed = {found.name for member in vars(diagnostics).values() if (found := definition_of(member))}
    assert (
        set(re.findall(r"^\| `(diagnostics\.\w+)` \|", WRITING_AGENTS.read_text(encoding="utf-8"), re.MULTILINE))
        == deployed
    )


def test_the_first_key_is_made_as_the_authorizer_reads_keys() -> None:
    [recipe] = [code for code in blocks(README, "bash") if "put-item" in code]
    until_item = recipe[: recipe.index("export FLOTILLA_API_URL")]
    aws = 'aws() { while [ "$1" != --item ]; do shift; done; printf \'%s\\n\' "$2"; }\n'
    item, key = bash(f'{aws}{until_item}\necho "KEY=$KEY"', "-eu").split("KEY=flt_")
    record = json.loads(item)
    raw_key = f"flt_{key.strip()}"
    assert re.fullmatch(r"flt_[A-Za-z0-9_-]{40}", raw_key)
    assert record["pk"] == {"S": partition_key(raw_key)}
    assert record["sk"] == {"S": "KEY"}
    assert {scope["S"] for scope in record["scopes"]["L"]} == {"tasks:write", "tasks:read", "operate"}
    assert set(record) == {"pk", "sk", "key_id", "tenant", "scopes", "created_at_ms"}
    assert int(record["created_at_ms"]["N"]) > 1_700_000_000_000


def test_the_figures_are_those_of_the_repository() -> None:
    text = README.read_text(encoding="utf-8")
    on_aws = load(REPOSITORY / "fleet.toml")
    at_home = load(REPOSITORY / "fleet.toml", local=True)
    reserved = sum(lane.reserved_concurrency for lane in on_aws.lanes.values())
    at_once = sum(lane.maximum_concurrency for lane in on_aws.lanes.values())
    at_once_here = sum(lane.maximum_concurrency for lane in at_home.lanes.values())
    assert f"run {len(read_corpus())} real documents" in text
    assert f"reserve {reserved} of the usual {on_aws.runtime.account_concurrency:,}" in text
    assert f"the functions beside them {sum(reserved_concurrency(on_aws).values())}" in text
    assert f"| up to {at_once} invocations at once | up to {at_once_here} |" in text
    assert {lane.batch_size for lane in on_aws.lanes.values()} == {10}, "the README speaks of ten tasks at once"


def test_the_tree_that_is_shown_is_there() -> None:
    [tree] = blocks(README, "")
    for line in tree.splitlines():
        assert (REPOSITORY / line.split()[0]).exists(), line


def test_every_decision_is_listed_and_has_its_parts() -> None:
    folder = REPOSITORY / "docs" / "adr"
    listed = set(links(folder / "README.md"))
    decisions = sorted(folder.glob("[0-9]*.md"))
    assert {path.name for path in decisions} == listed
    for number, path in enumerate(decisions, start=1):
        text = path.read_text(encoding="utf-8")
        assert path.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04} ")
        for part in ("## Context", "## Decision", "## Consequences", "## Turned down"):
            assert part in text, path.name


def test_the_pictures_are_those_of_their_texts() -> None:
    pictures = runpy.run_path(str(REPOSITORY / "docs" / "pictures.py"))
    assert pictures["PICTURES"]
    for source in pictures["PICTURES"]:
        rendered = pictures["render"](source.read_text(encoding="utf-8"))
        assert source.with_suffix(".svg").read_text(encoding="utf-8") == rendered, "run: python docs/pictures.py"


@pytest.mark.parametrize(
    "source", ["", "box plain 1 2 3 4 | name", "canvas 1 2 | x\nblob 1 2", "canvas 1 2 | x\nbox plain 1 | y"]
)
def test_a_picture_that_cannot_be_drawn_says_which_line(source: str) -> None:
    render = runpy.run_path(str(REPOSITORY / "docs" / "pictures.py"))["render"]
    with pytest.raises(ValueError, match=r"no canvas|line \d"):
        render(source)
