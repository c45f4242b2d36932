"""Tables of rows that one test checks."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, cast

import pytest

Rows = Iterable[Any]


def each_row(names: str | Sequence[str], rows: Rows | Callable[[], Rows], ids: object = None) -> Callable[..., Any]:
    """Run one test for all rows of a table, and fail with every row that failed and why.

    It takes what `pytest.mark.parametrize` takes, for tables whose rows are values only; fixtures are those of one
    test, so a row must not change them. `rows` may be a function, which is called when the test runs. A failure names
    the row by its id (`pytest.param(…, id=…)`, or `ids`, a list or a function of one value), else by its values.
    """
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(test)
        others = [parameter for parameter in signature.parameters.values() if parameter.name not in names]
        listed = list(rows) if isinstance(rows, Iterable) else None  # a class of an Enum can be called too
        failed = (Exception, pytest.fail.Exception)

        def table() -> list[tuple[str, dict[str, Any]]]:
            now = cast("Callable[[], Rows]", rows)() if listed is None else listed
            return [_row(names, row, number, ids) for number, row in enumerate(now)]

        def check(**fixtures: Any) -> None:
            failures, known = [], table()
            for row, values in known:
                try:
                    test(**values, **fixtures)
                except failed as error:
                    failures.append(_told(row, error))
            _report(failures, len(known))

        async def check_async(**fixtures: Any) -> None:
            failures, known = [], table()
            for row, values in known:
                try:
                    await test(**values, **fixtures)
                except failed as error:
                    failures.append(_told(row, error))
            _report(failures, len(known))

        wrapped: Any = wraps(test)(check_async if inspect.iscoroutinefunction(test) else check)
        wrapped.__signature__ = signature.replace(parameters=others)
        return cast("Callable[..., Any]", wrapped)

    return decorate


def _row(names: Sequence[str], row: Any, number: int, ids: Any) -> tuple[str, dict[str, Any]]:
    name = None
    if isinstance(row, type(pytest.param())):
        name, row = row.id, row.values if len(names) > 1 else row.values[0]
    values = tuple(row) if len(names) > 1 else (row,)
    if name is None and callable(ids):
        name = "-".join(str(ids(value)) for value in values)
    elif name is None and ids is not None:
        name = str([*ids][number])
    return str(name or ", ".join(map(repr, values))), dict(zip(names, values, strict=True))


def _told(row: str, error: BaseException) -> str:
    kind = "" if isinstance(error, AssertionError | pytest.fail.Exception) else f"{type(error).__name__}: "
    return f"{row}\n    " + f"{kind}{error}".replace("\n", "\n    ")


def _report(failures: Sequence[str], rows: int) -> None:
    __tracebackhide__ = True
    assert rows, "the table has no rows"
    if failures:
        pytest.fail(f"{len(failures)} of {rows} rows failed:\n" + "\n".join(failures), pytrace=False)
