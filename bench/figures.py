"""What a benchmark hands back, and how it is shown: as Markdown, for the terminal and for docs/benchmarks.md alike."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from attrs import asdict, frozen


@frozen(kw_only=True)
class Figure:
    """One thing that was measured, several times.

    Attributes:
        what: Names the row; unique in its benchmark.
        unit: Of `runs`.
        runs: One number a run, in the order they were made.
        against: The row that this one is compared with.
        note: What else came of the last run.
    """

    what: str
    unit: str
    runs: Sequence[float]
    against: str | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.runs)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of the sorted values do not exceed."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


def percentiles(values: Iterable[float]) -> str:
    ordered = sorted(values)
    return "p50 {:.1f}, p95 {:.1f}, p99 {:.1f} ms".format(*(percentile(ordered, share) for share in (0.5, 0.95, 0.99)))


def markdown(figures: Sequence[Figure]) -> str:
    rows: list[tuple[str, ...]] = [("what", "unit", "runs", "min", "median", "max", "ratio of medians", "notes")]
    rows += [_row(figure, ratio_of(figure, figures)) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def document(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    return [{**asdict(figure), "median": figure.median, "ratio": ratio_of(figure, figures)} for figure in figures]


def ratio_of(figure: Figure, figures: Iterable[Figure]) -> float | None:
    """Return this median through the median of the row it is compared with."""
    reference = next((other for other in figures if other.what == figure.against), None)
    return figure.median / reference.median if reference and reference.median else None


def _row(figure: Figure, ratio: float | None) -> tuple[str, ...]:
    numbers = (_number(value) for value in (min(figure.runs), figure.median, max(figure.runs)))
    compared = "" if ratio is None else f"{ratio:.2f} of {figure.against}"
    return (figure.what, figure.unit, str(len(figure.runs)), *numbers, compared, figure.note)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"  # noqa: PLR2004
