"""`fleet.toml` is settings that can be deployed, or one message that says how it becomes so."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stacks.config import LOCAL_MAXIMUM_CONCURRENCY, ConfigError, deep_merged, dotted, load, parse
from stacks.settings_model import Fleet, Lane

REPOSITORY = Path(__file__).resolve().parents[3]

SQS_LONGEST_VISIBILITY_SECONDS = 12 * 3600


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    return str(refusal.value)


def test_an_empty_file_is_a_fleet_of_three_lanes() -> None:
    fleet = parse("")
    assert fleet.name == "flotilla"
    assert list(fleet.lanes) == ["critical", "standard", "batch"]
    assert fleet.default_lane == "standard"
    assert fleet.diagnostics is False
    assert fleet.retention.days == 30
    assert fleet.payloads.inline_bytes == 32_768


def test_no_more_is_kept_inline_than_a_schedule_can_carry() -> None:
    assert parse("[payloads]\ninline_bytes = 40960").payloads.inline_bytes == 40_960
    assert "payloads.inline_bytes" in message_of("[payloads]\ninline_bytes = 40961")


@pytest.mark.parametrize("local", [False, True])
def test_the_file_that_is_shipped_says_the_defaults(local: bool) -> None:
    shipped = load(REPOSITORY / "fleet.toml", local=local)
    if not local:
        assert shipped == parse("").model_copy(update={"workflows": shipped.workflows})
    assert shipped.name == "flotilla"


def test_settings_cannot_be_changed() -> None:
    fleet = parse("")
    with pytest.raises(ValidationError):
        fleet.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        fleet.lanes["more"] = Lane()  # type: ignore[index]


def test_a_file_with_lanes_has_just_these_and_known_names_keep_their_defaults() -> None:
    fleet = parse('default_lane = "batch"\n[lanes.batch]\nmemory_mb = 512\n[lanes.night]\n')
    assert list(fleet.lanes) == ["batch", "night"]
    assert fleet.lanes["batch"].timeout_seconds == parse("").lanes["batch"].timeout_seconds
    assert fleet.lanes["batch"].memory_mb == 512


def test_as_much_is_reserved_as_may_run_unless_more_is_asked_for() -> None:
    fleet = parse(
        'default_lane = "a"\n[lanes.a]\nmaximum_concurrency = 7\n'
        "[lanes.b]\nmaximum_concurrency = 7\nreserved_concurrency = 9\n"
    )
    assert fleet.lanes["a"].reserved_concurrency == 7
    assert fleet.lanes["b"].reserved_concurrency == 9


def test_the_longest_invocation_still_has_a_visibility_that_sqs_allows() -> None:
    longest = parse('default_lane = "a"\n[lanes.a]\ntimeout_seconds = 900\n').lanes["a"]
    assert longest.visibility_timeout_seconds == 5400 <= SQS_LONGEST_VISIBILITY_SECONDS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nam = 'x'", "line 1: nam: unknown key; did you mean 'name'? allowed: agents, alarms, api,"),
        ("name = 'Fleet_1'", "line 1: name: 'Fleet_1' is not allowed; allowed: lower-case letters, digits"),
        ("name = 3", "line 1: name: 3 is not allowed; allowed: a text"),
        ("diagnostics = 'yes'", "line 1: diagnostics: 'yes' is not allowed; allowed: true or false"),
        ("diagnostics = 1", "line 1: diagnostics: 1 is not allowed; allowed: true or false"),
        ("[lanes.standard]\nmemroy_mb = 1", "line 2: lanes.standard.memroy_mb: unknown key; did you mean 'memory_mb'?"),
        (
            "[lanes.standard]\nmaximum_concurrency = 1",
            "line 2: lanes.standard.maximum_concurrency: 1 is not allowed; allowed: a whole number from 2 to 1000",
        ),
        (
            "[lanes.standard]\nbatch_size = '3'",
            "line 2: lanes.standard.batch_size: '3' is not allowed; allowed: a whole number from 1 to 10",
        ),
        ("[lanes.standard]\nbatch_size = true", "line 2: lanes.standard.batch_size: True is not allowed"),
        ("[lanes.Urgent]\n", "line 1: lanes.Urgent: 'Urgent' is not allowed; allowed: lower-case letters and digits"),
        ("[lanes.a-dlq]\n", "line 1: lanes.a-dlq: 'a-dlq' is not allowed"),
        ("lanes = 3", "line 1: lanes: 3 is not allowed; allowed: at least one table [lanes.<name>]"),
        ("[lanes]", "line 1: lanes: {} is not allowed; allowed: at least one table [lanes.<name>]"),
        (
            "[runtime]\npython = '3.10'",
            "line 2: runtime.python: '3.10' is not allowed; allowed: 'auto', '3.11', '3.12'",
        ),
        ("[runtime]\naws_services = ['../x']", "line 2: runtime.aws_services.0: '../x' is not allowed"),
        (
            "[runtime]\naws_services = 's3'",
            "line 2: runtime.aws_services: 's3' is not allowed; allowed: a list of texts",
        ),
        ("[logs]\nretention_days = 31", "line 2: logs.retention_days: 31 is not allowed; allowed: 1, 3, 5, 7, 14, 30"),
        (
            "[agents.'a.b']\ntimeout_seconds = -1",
            'line 2: agents."a.b".timeout_seconds: -1 is not allowed; allowed: a number above 0, at most 897',
        ),
        ("[agents]\nx = 3", "line 2: agents.x: 3 is not allowed; allowed: a table"),
        ("[agents.'no name']\n", "line 1: agents.\"no name\": 'no name' is not allowed; allowed: letters, digits"),
        (
            "[delays]\ntiers_seconds = 3",
            "line 2: delays.tiers_seconds: 3 is not allowed; allowed: a list of 1 to 10 whole numbers from 1 to 900",
        ),
        ("[delays]\ntiers_seconds = []", "line 2: delays.tiers_seconds: [] is not allowed; allowed: a list of 1 to 10"),
        (
            "[delays]\ntiers_seconds = [1, 901]",
            "line 2: delays.tiers_seconds.1: 901 is not allowed; allowed: a whole number from 1 to 900",
        ),
        ("[delays]\ntiers_seconds = ['x']", "line 2: delays.tiers_seconds.0: 'x' is not allowed; allowed: a whole"),
        (
            "[broadcast]\ntransitions = ['done']",
            "line 2: broadcast.transitions.0: 'done' is not allowed; allowed: 'scheduled', 'queued', 'running'",
        ),
        (
            "[broadcast]\ntransitions = 'expired'",
            "line 2: broadcast.transitions: 'expired' is not allowed; allowed: a list of 'scheduled', 'queued'",
        ),
        (
            "[webhooks]\nallow = ['http://x']",
            "line 2: webhooks.allow.0: 'http://x' is not allowed; allowed: a host's name or address in lower case",
        ),
        (
            "[reconciler]\nevery_minutes = 0",
            "line 2: reconciler.every_minutes: 0 is not allowed; allowed: a whole number",
        ),
        ("x =", "is not TOML"),
        ("local = 3", "line 1: local: must be a table"),
    ],
)
def test_a_wrong_key_is_named_with_its_line_and_what_is_allowed(text: str, said: str) -> None:
    assert said in message_of(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('default_lane = "std"', "default_lane: no lane is named 'std'; allowed: batch, critical, standard"),
        (
            "[lanes.standard]\nmaximum_concurrency = 5\nreserved_concurrency = 3",
            "line 3: lanes.standard.reserved_concurrency: must be at least maximum_concurrency (5), not 3",
        ),
        (
            "[lanes.standard]\nmaximum_concurrency = 901",
            " concurrent executions (the lanes 901, the relay 25, the triage 4,",
        ),
        (
            "[runtime]\naccount_concurrency = 200",
            "1), allowed are 100: runtime.account_concurrency (200)",
        ),
        (
            "[delays]\nmaximum_concurrency = 200",
            " concurrent executions (the lanes 350, the relay 1000,",
        ),
        (
            "[delays]\ntiers_seconds = [15, 1, 15]",
            "delays.tiers_seconds: [15, 1, 15] is not allowed; allowed: each tier once, the shortest first: [1, 15]",
        ),
        (
            'default_lane = "delays"\n[lanes.delays]',
            "line 2: lanes.delays: is not allowed: the queues of the delay ladder have this name",
        ),
        (
            "[retention]\ndays = 400",
            "retention.archive_days: must be at least retention.days (400), not 365",
        ),
        (
            "[broadcast]\ntopic = false\nexample_subscriber = true",
            "line 3: broadcast.example_subscriber: must be false where broadcast.topic is",
        ),
        (
            '[agents."a.b"]\nlane = "bach"',
            "line 2: agents.\"a.b\".lane: no lane is named 'bach'; did you mean 'batch'?",
        ),
        (
            '[agents."a.b"]\nlane = "batch"\ntimeout_seconds = 297.5',
            "line 3: agents.\"a.b\".timeout_seconds: must be at most 297, not 297.5: lane 'batch'",
        ),
    ],
)
def test_what_would_fail_under_load_is_refused(text: str, said: str) -> None:
    assert said in message_of(text)


def test_all_mistakes_are_told_at_once() -> None:
    message = message_of("nam = 1\n[api]\nburst = 0\n[lanes.standard]\nbatch_size = 11\nmaximum_concurrency = 1\n")
    assert len(message.splitlines()) == 5
    assert message.splitlines()[0] == "fleet.toml cannot be used:"


def test_a_file_that_is_not_there_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_a_message(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file)


class TestLocal:
    def test_overrides_are_laid_over_the_rest_and_do_not_touch_it(self) -> None:
        text = "[retention]\ndays = 9\n[local.retention]\ndays = 1\n[local.api]\nburst = 7\n"
        assert parse(text).retention.days == 9
        assert parse(text).api.burst == 1000
        assert parse(text, local=True).retention.days == 1
        assert parse(text, local=True).api.burst == 7

    def test_without_any_it_is_a_laptops_fleet_with_diagnostics(self) -> None:
        fleet = parse("[lanes.standard]\nmaximum_concurrency = 500\nreserved_concurrency = 600\n", local=True)
        assert fleet.diagnostics is True
        assert fleet.lanes["standard"].maximum_concurrency == LOCAL_MAXIMUM_CONCURRENCY
        assert fleet.lanes["standard"].reserved_concurrency == LOCAL_MAXIMUM_CONCURRENCY

    def test_what_feeds_functions_without_agents_has_a_laptops_concurrency_too(self) -> None:
        fleet = parse("[delays]\nmaximum_concurrency = 50\n", local=True)
        assert fleet.delays.maximum_concurrency == fleet.webhooks.maximum_concurrency == 2
        assert parse("[local.delays]\nmaximum_concurrency = 4\n", local=True).delays.maximum_concurrency == 4

    def test_what_it_says_itself_is_obeyed(self) -> None:
        text = "[local]\ndiagnostics = false\n[local.lanes.batch]\nmaximum_concurrency = 12\n"
        fleet = parse(text, local=True)
        assert fleet.diagnostics is False
        assert fleet.lanes["batch"].maximum_concurrency == fleet.lanes["batch"].reserved_concurrency == 12

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[local]\ndiagnostics = 3", "line 2: local.diagnostics: 3 is not allowed"),
            ("[local.lanes.standrd]", "line 1: local.lanes.standrd: no lane is named 'standrd'; did you mean"),
            ("[local]\nlanes = 3", "line 2: local.lanes: 3 is not allowed"),
            ("[local.lanes]\nbatch = 3", "line 2: local.lanes.batch: 3 is not allowed"),
            (
                "[local.lanes.batch]\nreserved_concurrency = 2",
                "line 2: local.lanes.batch.reserved_concurrency: must be at least maximum_concurrency (3), not 2",
            ),
        ],
    )
    def test_a_mistake_in_it_is_told_also_when_synthesizing_for_aws(self, text: str, said: str) -> None:
        assert said in message_of(text)


tables = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
documents = st.dictionaries(st.sampled_from("abc"), tables, max_size=3)


@given(documents, documents)
def test_merging_keeps_all_of_what_is_laid_over(base: dict[str, object], over: dict[str, object]) -> None:
    merged = deep_merged(base, over)
    assert deep_merged(merged, over) == merged
    assert set(merged) == set(base) | set(over)
    assert all(merged[key] == base[key] for key in set(base) - set(over))


toml_values = st.recursive(
    st.one_of(st.integers(-10, 2000), st.booleans(), st.text("ab.", max_size=4), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "lane"]), inner)),
    max_leaves=4,
)


def as_toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list():
            return "[" + ", ".join(map(as_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {as_toml(each)}" for key, each in value.items()) + "}"
        case float():
            return repr(value)
    return str(value)


@given(
    st.sampled_from([*Fleet.model_fields, "local"]),
    st.sampled_from([None, "a", "standard", "days", "python", "aws_services", "tiers_seconds", "transitions"]),
    toml_values,
)
def test_whatever_stands_at_a_key_is_settings_or_a_message(key: str, inner: str | None, value: object) -> None:
    written = as_toml(value) if inner is None else "{" + f"{inner} = {as_toml(value)}" + "}"
    for local in (False, True):
        # Any other error than this is a defect.
        with contextlib.suppress(ConfigError):
            parse(f"{key} = {written}", local=local)


def test_keys_are_written_as_in_toml() -> None:
    assert dotted(("agents", "document.analyze", "max_attempts")) == 'agents."document.analyze".max_attempts'
