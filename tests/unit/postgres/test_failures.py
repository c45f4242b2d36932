"""What is told of a database error."""

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError

from adapters.postgres.failures import unavailable


async def _by_deadline() -> Exception:
    with pytest.raises(TimeoutError) as raised:
        async with asyncio.timeout(0):
            await asyncio.sleep(1)
    return raised.value


async def _by_socket() -> Exception:
    return ConnectionRefusedError()


@pytest.mark.parametrize(
    ("driver", "told"),
    [
        (_by_deadline, "PostgreSQL: no answer in time (TimeoutError)"),
        (_by_socket, "PostgreSQL: out of reach (ConnectionRefusedError)"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False], ids=["by SQLAlchemy", "by asyncpg alone"])
async def test_an_error_without_a_code_is_told_by_the_drivers_name_for_it(driver, told, wrapped):
    error = await driver()
    if wrapped:
        adapted = Exception()
        adapted.__cause__ = error
        error = InterfaceError(None, None, adapted)
    else:
        error = DBAPIError(None, None, error)

    assert str(unavailable(error).failure) == told
