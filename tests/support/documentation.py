"""What the documentation tells its readers to type: fenced blocks, and commands between backticks."""

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in (
        "*.md",
        "docs/*.md",
        "docs/adr/*.md",
        "devkit/*.md",
        "sdk/*.md",
        "sdk/docs/*.md",
        "sdk-typescript/*.md",
        "deploy/**/*.md",
        "examples/**/*.md",
    )
    for path in ROOT.glob(pattern)
)
SHELLS = {"", "sh", "bash", "shell", "console"}

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`(?P<text>(?:\.venv/bin/)?auth-service [^`]*|make [a-z][^`]*)`(?!`)")


@frozen
class Block:
    """A fenced block that may be for a shell."""

    page: Path
    text: str

    @property
    def first(self) -> str:
        return self.text.split("\n", 1)[0]

    @property
    def commands(self) -> list[str]:
        """Its commands, without comments; where some lines begin with `$ `, the others are output."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        typed = [line[2:] for line in lines if line.startswith("$ ")] or lines
        return [command for line in typed if (command := re.sub(r"(^|\s+)#\s.*", "", line).strip())]


def shell_blocks() -> Iterator[Block]:
    """Every block without a language, or with a shell's."""
    for page in PAGES:
        for match in _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
            if match["language"].strip() in SHELLS:
                indent = len(match["indent"])
                yield Block(page, "\n".join(line[indent:] for line in match["text"].splitlines()))


def spans() -> Iterator[tuple[Path, str]]:
    """Every `auth-service …` and `make …` in running text."""
    for page in PAGES:
        prose = _BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
        for match in _SPAN.finditer(prose):
            yield page, " ".join(match["text"].split())
