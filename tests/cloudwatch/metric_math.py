"""CloudWatch's metric math, as far as the fleet's alarms go: arithmetic, comparisons, AND, OR, IF, SUM, MAX, FILL.

A value is a number, or None where a series has no data point. Its documentation leaves open what a comparison makes of
None; both readings can be asked for, so that an expression can be shown not to depend on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = float | None

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_][A-Za-z0-9_]*)|(>=|<=|==|!=|&&|\|\||[-+*/()<>,\[\]]))")
_COMPARISONS = (">", "<", ">=", "<=", "==", "!=")


class UnknownMathError(Exception):
    """The expression has something that is not understood here."""


@dataclass
class Expression:
    """An expression, ready to be evaluated at one point in time after another.

    Attributes:
        text: As it is in the template.
        absent_is_zero: A comparison takes a missing value for 0; otherwise it has no result.
    """

    text: str
    absent_is_zero: bool = True

    def at(self, values: Mapping[str, Value]) -> Value:
        """Its value where each series has one of these.

        Raises:
            UnknownMathError: It is not understood.
        """
        tokens = _tokens(self.text)
        parser = _Parser(tokens, values, self.absent_is_zero)
        value = parser.either()
        if parser.place != len(tokens):
            raise UnknownMathError(f"{tokens[parser.place]!r} in {self.text}")
        return value


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise UnknownMathError(text[place:])
        tokens.append(match[0].strip())
        place = match.end()
    return tokens


class _Parser:
    """Evaluates while it reads, the loosest operator first."""

    def __init__(self, tokens: Sequence[str], values: Mapping[str, Value], absent_is_zero: bool) -> None:
        self._tokens = tokens
        self._values = values
        self._absent_is_zero = absent_is_zero
        self.place = 0

    def either(self) -> Value:
        value = self._both()
        while self._take("OR", "||"):
            value = self._truth(value, self._both(), lambda one, other: bool(one) or bool(other))
        return value

    def _both(self) -> Value:
        value = self._comparison()
        while self._take("AND", "&&"):
            value = self._truth(value, self._comparison(), lambda one, other: bool(one) and bool(other))
        return value

    def _comparison(self) -> Value:
        value = self._sum()
        if operator := self._take(*_COMPARISONS):
            compare = {
                ">": lambda one, other: one > other,
                "<": lambda one, other: one < other,
                ">=": lambda one, other: one >= other,
                "<=": lambda one, other: one <= other,
                "==": lambda one, other: one == other,
                "!=": lambda one, other: one != other,
            }[operator]
            value = self._truth(value, self._sum(), compare)
        return value

    def _truth(self, one: Value, other: Value, decide) -> Value:  # type: ignore[no-untyped-def]
        if one is None or other is None:
            if not self._absent_is_zero:
                return None
            one, other = one or 0, other or 0
        return float(decide(one, other))

    def _sum(self) -> Value:
        value = self._product()
        while operator := self._take("+", "-"):
            other = self._product()
            if value is not None and other is not None:
                value += other if operator == "+" else -other
            else:
                value = None
        return value

    def _product(self) -> Value:
        value = self._atom()
        while operator := self._take("*", "/"):
            other = self._atom()
            if value is None or other is None or (operator == "/" and other == 0):
                value = None
            else:
                value = value * other if operator == "*" else value / other
        return value

    def _atom(self) -> Value:
        if self._take("("):
            value = self.either()
            self._expect(")")
            return value
        token = self._next()
        if token[0].isdigit():
            return float(token)
        if self._take("("):
            return self._function(token)
        if token in self._values:
            return self._values[token]
        raise UnknownMathError(token)

    def _function(self, name: str) -> Value:
        if name in ("SUM", "MAX"):
            self._expect("[")
            parts = [part for part in self._listed("]") if part is not None]
            self._expect(")")
            # Over several series: at each time over those that have a point then.
            return None if not parts else sum(parts) if name == "SUM" else max(parts)
        arguments = self._listed(")")
        match name, arguments:
            case "IF", [condition, then, otherwise]:
                return None if condition is None else then if condition else otherwise
            case "FILL", [value, instead]:
                return instead if value is None else value
        raise UnknownMathError(f"{name} of {len(arguments)}")

    def _listed(self, end: str) -> list[Value]:
        values = [self.either()]
        while self._take(","):
            values.append(self.either())
        self._expect(end)
        return values

    def _take(self, *wanted: str) -> str:
        if self.place < len(self._tokens) and self._tokens[self.place] in wanted:
            self.place += 1
            return self._tokens[self.place - 1]
        return ""

    def _next(self) -> str:
        if self.place == len(self._tokens):
            raise UnknownMathError("something is missing at the end")
        self.place += 1
        return self._tokens[self.place - 1]

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise UnknownMathError(f"{token!r} is missing")
