"""What a function that checks a request raises."""

import pytest

from entrypoints.http import problems
from entrypoints.http.problems import TABLE, HttpError, Problem


def refused(*expected: Problem) -> pytest.RaisesExc[HttpError]:
    """Expect one of these problems, and no other."""
    return pytest.raises(HttpError, check=lambda error: error.problem in expected)


def every_problem() -> set[Problem]:
    """Every problem that a handler may answer with."""
    return {*TABLE.values(), *(value for value in vars(problems).values() if isinstance(value, Problem))}
