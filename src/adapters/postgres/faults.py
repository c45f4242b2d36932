"""What a database error means: whose fault it is and whether trying again helps."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum, auto

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from application.errors import StoreUnavailableError
from application.trouble import Trouble, told

DATABASE_ERRORS = (DBAPIError, PoolTimeoutError, OSError)
"""Everything that a statement on the engine may raise when PostgreSQL is at fault or out of reach."""


class Fault(Enum):
    """Who has to act."""

    RACE = auto()
    """Another writer was in the way: the same again, at once."""
    CONNECTION = auto()
    """The connection broke: the same again, on a new one."""
    CHANGE = auto()
    """This very data can never be stored."""
    DATABASE = auto()
    """Anything else: read-only, full, not migrated, overloaded, gone. The operator's to mend, the sender's to retry."""


# PostgreSQL documentation, appendix A, by class (the first two characters).
_CHANGE_CLASSES = ("22", "23", "54", "P0")
_RACES = ("40001", "40P01")

# The same appendix; the first that fits.
_TROUBLES = {
    "25006": Trouble.READ_ONLY,
    "28": Trouble.NOT_AUTHENTICATED,
    "3D": Trouble.NO_DATABASE,
    "3F": Trouble.NOT_MIGRATED,
    "42501": Trouble.NOT_AUTHORIZED,
    "42P01": Trouble.NOT_MIGRATED,
    "42703": Trouble.NOT_MIGRATED,
    "42883": Trouble.NOT_MIGRATED,
    "53100": Trouble.DISK_FULL,
    "53300": Trouble.TOO_MANY_CONNECTIONS,
    "53400": Trouble.TOO_MANY_CONNECTIONS,
    "55P03": Trouble.NO_ANSWER,
    "57014": Trouble.NO_ANSWER,
    "57P": Trouble.OUT_OF_REACH,
    "08": Trouble.OUT_OF_REACH,
}


def fault_of(error: BaseException) -> Fault:
    """Classify an error from `DATABASE_ERRORS`."""
    if not isinstance(error, DBAPIError):
        return Fault.DATABASE
    sqlstate = _sqlstate(error)
    if sqlstate in _RACES:
        return Fault.RACE
    # asyncpg has no SQLSTATE for what it refuses to encode itself; a lost connection has none either.
    if error.connection_invalidated:
        return Fault.CONNECTION
    if sqlstate is None and any(isinstance(cause, ValueError) for cause in _causes(error)):
        return Fault.CHANGE
    if sqlstate and sqlstate.startswith(_CHANGE_CLASSES):
        return Fault.CHANGE
    return Fault.DATABASE


def code_of(error: BaseException) -> str:
    """Name an error for a log or a message; its text is left out, because PostgreSQL puts row values into it."""
    return _sqlstate(error) or type(error).__name__


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection for one statement.

    Raises:
        StoreUnavailableError: the database does not answer, or refuses; the message has the code of the error.
    """
    with told_as_unavailable():
        async with engine.begin() as connection:
            yield connection


@contextmanager
def told_as_unavailable() -> Iterator[None]:
    """Raise whatever is the database's fault in the application's words."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise unavailable(error) from None


def unavailable(error: BaseException) -> StoreUnavailableError:
    """Say an error from `DATABASE_ERRORS` in the application's words."""
    trouble = trouble_of(error)
    return StoreUnavailableError(told("PostgreSQL", trouble, code_of(error)), trouble)


def trouble_of(error: BaseException) -> Trouble:
    """Return what an operator has to mend for an error from `DATABASE_ERRORS`."""
    sqlstate = _sqlstate(error)
    if sqlstate:
        return next((trouble for start, trouble in _TROUBLES.items() if sqlstate.startswith(start)), Trouble.OTHER)
    if isinstance(error, (PoolTimeoutError, TimeoutError)):
        return Trouble.NO_ANSWER
    if isinstance(error, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return Trouble.OUT_OF_REACH
    return Trouble.OTHER


def _sqlstate(error: BaseException) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _causes(error: DBAPIError) -> tuple[BaseException | None, ...]:
    """The driver's error, and what SQLAlchemy had wrapped in it."""
    return error.orig, error.orig.__cause__ if error.orig else None
