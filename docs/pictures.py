"""Renders every `NAME.picture` beside this file as `NAME.svg`: `python docs/pictures.py`.

    canvas WIDTH HEIGHT            | what the picture shows, for those who cannot see it
    panel  COLOUR X Y WIDTH HEIGHT | heading | what it runs on
    box    COLOUR X Y WIDTH HEIGHT | name | second line | …
    chip   COLOUR X Y WIDTH HEIGHT | number | word
    arrow  solid X,Y X,Y …           or: quiet, which is dashed
    label  X Y ANCHOR              | words

Invariant: the SVG is a function of that text alone, so a test can tell whether the committed one is the text's. It
brings its own background, light or dark as the reader prefers, and needs no font, script or file from anywhere.
"""  # noqa: INP001 - a script beside the documents, not part of a package

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

PICTURES = sorted(Path(__file__).parent.glob("*.picture"))

_FONT = "ui-sans-serif, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"

# Colour: panel fill, border and heading; light, then dark.
_COLOURS = {
    "plain": (("#ffffff", "#94a3b8", "#334155"), ("#1e293b", "#64748b", "#e2e8f0")),
    "blue": (("#eff6ff", "#60a5fa", "#1d4ed8"), ("#14233d", "#3b82f6", "#93c5fd")),
    "violet": (("#f5f3ff", "#a78bfa", "#6d28d9"), ("#221c3b", "#8b5cf6", "#c4b5fd")),
    "green": (("#ecfdf5", "#34d399", "#047857"), ("#10281f", "#10b981", "#6ee7b7")),
    "amber": (("#fffbeb", "#f59e0b", "#b45309"), ("#2b2110", "#d97706", "#fcd34d")),
}
# Page, card, strong text, quiet text, line; light, then dark.
_NEUTRAL = (
    ("#ffffff", "#ffffff", "#0f172a", "#475569", "#64748b"),
    ("#0d1117", "#0a0e15", "#f1f5f9", "#a3b1c6", "#8494ab"),
)

_LINE_HEIGHT = 20


def _style() -> str:
    def theme(index: int) -> str:
        page, card, strong, quiet, line = _NEUTRAL[index]
        rules = [
            f".page {{ fill: {page} }}",
            f".card {{ fill: {card} }}",
            f".strong {{ fill: {strong} }}",
            f".quiet {{ fill: {quiet} }}",
            f".line {{ stroke: {line}; stroke-width: 1.6; fill: none }}",
            f".head {{ fill: {line} }}",
        ]
        for name, shades in _COLOURS.items():
            fill, border, heading = shades[index]
            rules.append(f".{name}-panel {{ fill: {fill}; stroke: {border} }}")
            rules.append(f".{name}-edge {{ stroke: {border} }}")
            rules.append(f".{name}-text {{ fill: {heading} }}")
        return "\n    ".join(rules)

    return f"""  <style>
    text {{ font-family: {_FONT} }}
    {theme(0)}
    @media (prefers-color-scheme: dark) {{
    {theme(1)}
    }}
  </style>"""


def _text(x: float, y: float, words: str, kind: str, *, size: int, weight: int = 400, anchor: str = "start") -> str:
    return (
        f'  <text class="{kind}" x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def _rectangle(kind: str, x: int, y: int, width: int, height: int, *, radius: int) -> str:
    return f'  <rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}"/>'


def _panel(words: list[str], parts: list[str]) -> list[str]:
    colour, x, y, width, height = words[0], *map(int, words[1:5])
    heading, runs_on = parts
    return [
        _rectangle(f"{colour}-panel", x, y, width, height, radius=14),
        _text(x + 24, y + 35, heading, f"{colour}-text", size=18, weight=700),
        _text(x + 24, y + 58, runs_on, "quiet", size=15),
    ]


def _box(words: list[str], parts: list[str]) -> list[str]:
    colour, x, y, width, height = words[0], *map(int, words[1:5])
    outline = _rectangle(f"card {colour}-edge", x, y, width, height, radius=9)
    if len(parts) == 1:
        return [
            outline,
            _text(x + width / 2, y + height / 2 + 5, parts[0], "strong", size=17, weight=600, anchor="middle"),
        ]
    return [
        outline,
        _text(x + 16, y + 29, parts[0], "strong", size=17, weight=600),
        *(_text(x + 16, y + 51 + index * _LINE_HEIGHT, line, "quiet", size=15) for index, line in enumerate(parts[1:])),
    ]


def _chip(words: list[str], parts: list[str]) -> list[str]:
    colour, x, y, width, height = words[0], *map(int, words[1:5])
    number, word = parts
    baseline = y + height / 2 + 5
    return [
        _rectangle(f"{colour}-panel", x, y, width, height, radius=height // 2),
        _text(x + 16, baseline, number, f"{colour}-text", size=15, weight=700),
        _text(x + 34, baseline, word, "strong", size=15),
    ]


def _arrow(words: list[str], _parts: list[str]) -> list[str]:
    dash = ' stroke-dasharray="5 4"' if words[0] == "quiet" else ""
    points = " ".join(words[1:])
    return [f'  <polyline class="line" points="{points}"{dash} marker-end="url(#head)"/>']


def _label(words: list[str], parts: list[str]) -> list[str]:
    return [_text(int(words[0]), int(words[1]), parts[0], "quiet", size=15, anchor=words[2])]


_SHAPES: dict[str, Callable[[list[str], list[str]], list[str]]] = {
    "panel": _panel,
    "box": _box,
    "chip": _chip,
    "arrow": _arrow,
    "label": _label,
}


def render(source: str) -> str:
    """The SVG that `source` describes.

    Raises:
        ValueError: A line is not one of the shapes named above, or lacks a part.
    """
    body: list[str] = []
    canvas: tuple[int, int, str] | None = None
    for number, line in enumerate(source.replace("\\\n", "").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        left, *parts = (part.strip() for part in line.split("|"))
        shape, *words = left.split()
        try:
            if shape == "canvas":
                canvas = (int(words[0]), int(words[1]), parts[0])
            else:
                body += _SHAPES[shape](words, parts)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"line {number}: {line}") from error
    if canvas is None:
        raise ValueError("there is no canvas")
    width, height, meaning = canvas
    head = (
        '  <defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto"><path class="head" d="M0 0L10 5L0 10z"/></marker></defs>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"  <title>{escape(meaning)}</title>",
            _style(),
            head,
            _rectangle("page", 0, 0, width, height, radius=16),
            *body,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    for picture in PICTURES:
        picture.with_suffix(".svg").write_text(render(picture.read_text(encoding="utf-8")), encoding="utf-8")
