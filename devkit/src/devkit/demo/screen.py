"""What the demo shows: readable on a terminal, in a pipe and without colour."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from rich.console import Console
from rich.text import Text

from application.counting import counted
from devkit.demo.differences import differences
from entrypoints.cli.output import print_table

_LABEL_WIDTH = 9
_GAP = "   "

Block = str | Text | list[Text]
"""What `Scene.show` prints: running text, or pairs that may stand beside each other."""


@define
class Scene:
    """One step: shown while it happens, and what did not come out as it should."""

    number: int
    title: str
    console: Console
    answer: str = ""
    outcome: str = ""
    event: str = "-"
    seconds: float = 0.0
    checks: int = 0
    differences: list[str] = field(factory=list)

    def open(self, why: str) -> None:
        self.console.print()
        self.console.print(Text(f"{self.number}. {self.title}", style="bold"))
        self.console.print(Text(why, style="italic"))

    def show(self, label: str, *blocks: Block) -> None:
        """Print blocks of text beside a label."""
        room = self.console.width - _LABEL_WIDTH
        for block in blocks:
            text = _beside_each_other(block, room) if isinstance(block, list) else Text.assemble(block)
            for line in text.split("\n"):
                self.console.print(Text.assemble((f"{label:<{_LABEL_WIDTH}}", "cyan"), line))
                label = ""

    def check(self, what: str, expected: object, actual: object) -> None:
        """Compare; a difference is shown at once and fails the demo."""
        self.checks += 1
        found = differences(expected, actual, at=what)
        self.differences += found
        for line in found:
            self.console.print(Text(f"✗ DIFFERS  {line}", style="bold red"))

    def close(self, seconds: float) -> None:
        self.seconds = seconds
        if not self.differences:
            self.console.print(Text(f"✓ {counted(self.checks, 'check holds', 'checks hold')}", style="green"))


def pairs(values: Mapping[str, Any]) -> list[Text]:
    """Return names and values that stand beside each other; what is null is left out."""
    return [
        Text.assemble((f"{name} ", "dim"), value if isinstance(value, str) else as_json(value))
        for name, value in values.items()
        if value is not None
    ]


def headers(values: Mapping[str, str]) -> Text:
    """Return one line for each header."""
    width = max(map(len, values), default=0) + 2
    return Text("\n").join(Text.assemble((f"{name:<{width}}", "dim"), value) for name, value in values.items())


def _beside_each_other(parts: Sequence[Text], room: int) -> Text:
    """Return the pairs in lines, none of them broken."""
    lines = [Text()]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(_GAP) + len(part) > room:
            lines.append(Text())
        lines[-1].append(_GAP if lines[-1] else "").append_text(part)
    return Text("\n").join(lines)


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def print_summary(scenes: Sequence[Scene]) -> None:
    rows = [
        (
            str(scene.number),
            scene.title,
            scene.answer,
            scene.outcome,
            scene.event,
            str(scene.checks),
            f"{scene.seconds * 1000:.0f}",
            Text("differs", style="bold red") if scene.differences else Text("ok", style="green"),
        )
        for scene in scenes
    ]
    print_table(
        ("step", "what", "answer", "outcome", "event", "checks", "ms", "result"), rows, prose={"what", "outcome"}
    )
