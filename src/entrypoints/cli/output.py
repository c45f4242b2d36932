"""Tables, as every command prints them: nothing is ever cut, and no word is broken.

Piped, a table is tab-separated: the names of the columns, then one line a row. It has no width, no colour and nothing
drawn, whatever COLUMNS, TERM and FORCE_COLOR say. On a terminal the columns are aligned where they fit; where they do
not, each row is a block of lines, `name  value`. A value that is longer than the terminal is wide stays one line:
terminals wrap it by themselves, and copy it whole.
"""

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from entrypoints.cli.terminal import console_for_stdout, on_terminal, printable

_GAP = "  "

_PROSE = 30  # characters: sentences in a narrower column are harder to read than in a block

_BREAKS = str.maketrans("\t\n\r", "   ")

Row = Sequence[str | Text]


def print_table(columns: Sequence[str], rows: Sequence[Row], *, prose: Collection[str] = ()) -> None:
    """Print rows below the names of their columns.

    Args:
        columns: a name for each cell.
        rows: characters that steer a terminal are replaced; a `Text` carries a style.
        prose: the columns of sentences, which may be wrapped between words.
    """
    if not on_terminal():
        for row in (columns, *rows):
            print(separated(row))
        return
    cells = [[_clean(cell) for cell in row] for row in rows]
    width = shutil.get_terminal_size().columns
    widths = _widths(columns, cells, prose, width)
    lines = _blocks(columns, cells, prose, width) if widths is None else _aligned(columns, cells, widths)
    console = console_for_stdout()
    for line in lines:
        console.print(line)


def print_fields(row: Sequence[tuple[str, str]]) -> None:
    """Print all fields of one thing, one below the other."""
    if not on_terminal():
        print_table(("field", "value"), row)
        return
    console = console_for_stdout()
    names = [name for name, _ in row]
    for line in _block(names, [_clean(value) for _, value in row], (), shutil.get_terminal_size().columns):
        console.print(line)


def separated(row: Row) -> str:
    """Return a row as piped output has it."""
    return "\t".join(_clean(cell).plain for cell in row)


def flush() -> None:
    """Hand over what was printed, so that notes on standard error come after it; raises as a write does."""
    sys.stdout.flush()


def _clean(cell: str | Text) -> Text:
    text, style = (cell.plain, cell.style) if isinstance(cell, Text) else (cell, "")
    return Text(printable(text.translate(_BREAKS)), style)


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], prose: Collection[str], width: int
) -> list[int] | None:
    """Return how wide each column is; None when they do not fit beside each other."""
    whole, least = [], []
    for number, name in enumerate(columns):
        texts = [name, *(row[number].plain for row in rows)]
        whole.append(max(map(cell_len, texts)))
        longest_word = max(cell_len(word) for text in texts for word in text.split() or [""])
        least.append(max(longest_word, min(whole[-1], _PROSE)) if name in prose else whole[-1])
    room = width - len(_GAP) * (len(columns) - 1)
    if sum(least) > room:
        return None
    widths = least
    for _ in range(room - sum(least)):
        neediest = max(range(len(widths)), key=lambda number: whole[number] - widths[number])
        if widths[neediest] == whole[neediest]:
            break
        widths[neediest] += 1
    return widths


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[Text]], widths: Sequence[int]) -> Iterator[Text]:
    for row in ([Text(name, "dim") for name in columns], *rows):
        wrapped = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*wrapped, fillvalue=Text()):
            line = Text()
            for part, width in zip(parts, widths, strict=True):
                line.append_text(part).append(" " * (width - cell_len(part.plain))).append(_GAP)
            line.rstrip()
            yield line


def _blocks(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], prose: Collection[str], width: int
) -> Iterator[Text]:
    for number, row in enumerate(rows):
        if number:
            yield Text()
        yield from _block(columns, row, prose, width)


def _block(names: Sequence[str], values: Sequence[Text], prose: Collection[str], width: int) -> Iterator[Text]:
    indent = max(map(cell_len, names))
    room = width - indent - len(_GAP)
    for name, value in zip(names, values, strict=True):
        label = Text(name.ljust(indent) + _GAP, "dim")
        if not value.plain:
            continue
        if cell_len(value.plain) <= room:
            yield label + value
        elif name in prose and room >= _PROSE:
            for line in _wrapped(value, room):
                yield label + line
                label = Text(" " * (indent + len(_GAP)))
        else:
            yield Text(name, "dim")
            yield from _wrapped(value, width) if name in prose else [value]


def _wrapped(cell: Text, width: int) -> list[Text]:
    if cell_len(cell.plain) <= width:
        return [cell]
    lines = textwrap.wrap(cell.plain, width, break_long_words=False, break_on_hyphens=False)
    return [Text(line, cell.style) for line in lines]
