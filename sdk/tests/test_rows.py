"""That a table of rows fails for each row that fails, and for no other."""

import pytest

from sdktest.rows import each_row


def failure(test, **fixtures):
    with pytest.raises(pytest.fail.Exception) as failed:
        test(**fixtures)
    return str(failed.value)


def test_every_failing_row_is_named_with_its_difference():
    @each_row("number, expected", [(1, 1), (2, 3), pytest.param(4, 5, id="four"), (6, 6)])
    def table(number, expected):
        assert number == expected, f"not {expected}"

    said = failure(table)
    assert said.startswith("2 of 4 rows failed:\n2, 3\n    not 3\nassert 2 == 3".replace("\na", "\n    a"))
    assert "four\n    not 5" in said
    assert "6" not in said


def test_an_error_and_an_exception_that_did_not_come_are_failures_of_their_rows():
    @each_row("value", ["x", "1", "2"], ids=["a word", "one", "two"])
    def table(value):
        if value == "2":
            with pytest.raises(ValueError, match="literal"):
                int(value)
        int(value)

    said = failure(table)
    assert said.startswith("2 of 3 rows failed:\na word\n    ValueError: invalid literal")
    assert "two\n    DID NOT RAISE" in said


async def test_a_coroutine_is_awaited_for_each_row():
    seen = []

    @each_row("value", lambda: [1, 2])
    async def table(value, fixture):
        seen.append((value, fixture))

    await table(fixture="f")
    assert seen == [(1, "f"), (2, "f")]


def test_a_table_without_rows_fails():
    @each_row("value", [])
    def table(value):
        pytest.fail("there is no row to check")

    with pytest.raises(AssertionError, match="no rows"):
        table()


@each_row("value", [1, 2])
def test_fixtures_are_asked_for_by_pytest(value, tmp_path):
    assert tmp_path.exists()
