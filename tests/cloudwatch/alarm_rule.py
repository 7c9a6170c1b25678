"""Rules of composite alarms: ALARM, OK and INSUFFICIENT_DATA of other alarms, with AND, OR, NOT and parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(r'\s*(\(|\)|"[^"]*"|[A-Za-z_]+)')
_STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")


class UnknownRuleError(Exception):
    """The rule has something that is not understood here."""


def holds(rule: str, state_of: Callable[[str], str]) -> bool:
    """Whether the rule is true.

    Args:
        rule: As CloudWatch has it; alarms by name or ARN, in quotes.
        state_of: What state an alarm is in.

    Raises:
        UnknownRuleError: It is not understood.
    """
    tokens = _TOKEN.findall(rule)
    if "".join(tokens) != re.sub(r"\s(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", "", rule):
        raise UnknownRuleError(rule)
    value, rest = _either(tokens, state_of)
    if rest:
        raise UnknownRuleError(" ".join(rest))
    return value


def alarms_in(rule: str) -> set[str]:
    """The alarms it is about."""
    return set(re.findall(r'"([^"]*)"', rule))


def _either(tokens: list[str], state_of: Callable[[str], str]) -> tuple[bool, list[str]]:
    value, rest = _both(tokens, state_of)
    while rest[:1] == ["OR"]:
        other, rest = _both(rest[1:], state_of)
        value = value or other
    return value, rest


def _both(tokens: list[str], state_of: Callable[[str], str]) -> tuple[bool, list[str]]:
    value, rest = _one(tokens, state_of)
    while rest[:1] == ["AND"]:
        other, rest = _one(rest[1:], state_of)
        value = value and other
    return value, rest


def _one(tokens: list[str], state_of: Callable[[str], str]) -> tuple[bool, list[str]]:
    match tokens:
        case ["NOT", *rest]:
            value, rest = _one(rest, state_of)
            return not value, rest
        case ["(", *rest]:
            value, rest = _either(rest, state_of)
            if rest[:1] != [")"]:
                raise UnknownRuleError("a parenthesis is not closed")
            return value, rest[1:]
        case [wanted, "(", alarm, ")", *rest] if wanted in _STATES:
            return state_of(alarm.strip('"')) == wanted, rest
    raise UnknownRuleError(" ".join(tokens))
