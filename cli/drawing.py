"""Numbers over time as a line of blocks, and as an SVG of panels below each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_BLOCKS = " ▁▂▃▄▅▆▇█"
_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b83280", "#4a5568")
_WIDTH, _HEIGHT, _GAP, _LEFT, _TOP = 720, 110, 44, 70, 34
_FONT = 'font-family="sans-serif" font-size="12" fill="#1a202c"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure, and its values over time by whose they are."""

    title: str
    lines: Mapping[str, Sequence[float]]


def number(amount: float) -> str:
    """An amount as a person reads it: whole from ten on, with as many digits as say something below."""
    if amount >= 10 or amount == int(amount):
        return f"{amount:,.0f}"
    return f"{amount:.2g}" if amount < 1 else f"{amount:.1f}"


def sparkline(values: Sequence[float], width: int = 30) -> str:
    """The values as blocks, the highest full; more than fit are drawn as the highest of their neighbours."""
    each = max(1, math.ceil(len(values) / width))
    drawn = [max(values[at : at + each]) for at in range(0, len(values), each)]
    most = max(drawn, default=0.0)
    return "".join(_BLOCKS[math.ceil(value / most * (len(_BLOCKS) - 1)) if most > 0 else 0] for value in drawn)


def drawing(panels: Sequence[Panel], *, across: str) -> str:
    """An SVG of the panels.

    Args:
        panels: From top to bottom.
        across: What is counted from left to right.
    """
    height = _TOP + len(panels) * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 30} {height}" {_FONT}>',
        f'<rect width="{_LEFT + _WIDTH + 30}" height="{height}" fill="#ffffff"/>',
    ]
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    for position, name in enumerate(names):
        x = _LEFT + position * 110
        parts.append(f'<rect x="{x}" y="8" width="10" height="10" fill="{_colour(position)}"/>')
        parts.append(f'<text x="{x + 15}" y="17">{escape(name)}</text>')
    for position, panel in enumerate(panels):
        parts += _panel(panel, names, _TOP + position * (_HEIGHT + _GAP), across)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, names: Sequence[str], top: float, across: str) -> list[str]:
    most = max((value for values in panel.lines.values() for value in values), default=0.0) or 1.0
    steps = max((len(values) for values in panel.lines.values()), default=1)
    bottom = top + 16 + _HEIGHT
    parts = [
        f'<text x="{_LEFT}" y="{top + 10:g}" font-weight="bold">{escape(panel.title)}</text>',
        f'<path d="M{_LEFT} {top + 16:g}V{bottom:g}H{_LEFT + _WIDTH}" fill="none" stroke="#a0aec0"/>',
        f'<text x="{_LEFT - 6}" y="{top + 26:g}" text-anchor="end">{number(most)}</text>',
        f'<text x="{_LEFT - 6}" y="{bottom:g}" text-anchor="end">0</text>',
        f'<text x="{_LEFT + _WIDTH}" y="{bottom + 14:g}" text-anchor="end">{steps} {escape(across)}</text>',
    ]
    for position, name in enumerate(names):
        values = panel.lines.get(name, ())
        points = " ".join(
            f"{_LEFT + (index + 1) / steps * _WIDTH:.1f},{bottom - value / most * _HEIGHT:.1f}"
            for index, value in enumerate(values)
        )
        if points:
            colour = _colour(position)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    return parts


def _colour(position: int) -> str:
    return _COLOURS[position % len(_COLOURS)]
