"""What a database error means: whose fault it is and whether trying again helps."""

import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum, auto

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.connection.dial import UnusableParameterError, refuses_settings
from application.errors import StoreUnavailableError
from application.failure import Trouble, told

DATABASE_ERRORS = (DBAPIError, PoolTimeoutError, OSError)
"""Everything that a statement on the engine may raise when PostgreSQL is at fault or out of reach."""


class Responsible(Enum):
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
_NOT_UTF8 = "22P05"
"""The data is well, but the database's encoding has no such character."""
_RACES = ("40001", "40P01")

# The same appendix; the first that fits.
_TROUBLES = {
    _NOT_UTF8: Trouble.ENCODING,
    "25006": Trouble.READ_ONLY,
    "26": Trouble.POOLER,
    "42P05": Trouble.POOLER,
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

# PgBouncer has one code for whatever it says itself (its source, `disconnect_client`).
_POOLERS_WORDS = {
    "no such database": Trouble.NO_DATABASE,
    "does not exist": Trouble.NO_DATABASE,
    "authentication failed": Trouble.NOT_AUTHENTICATED,
    "no such user": Trouble.NOT_AUTHENTICATED,
    "no more connections": Trouble.TOO_MANY_CONNECTIONS,
}

# What has no code of the server's; the first that fits.
_BY_KIND = (
    (UnusableParameterError, Trouble.CONFIGURATION),
    (socket.gaierror, Trouble.NAME_RESOLUTION),
    (ssl.SSLError, Trouble.TLS),
    (asyncpg.TargetServerAttributeNotMatched, Trouble.READ_ONLY),
    ((PoolTimeoutError, TimeoutError), Trouble.NO_ANSWER),
    (OSError, Trouble.OUT_OF_REACH),
)


def fault_of(error: BaseException) -> Responsible:
    """Classify an error from `DATABASE_ERRORS`."""
    if not isinstance(error, DBAPIError):
        return Responsible.DATABASE
    sqlstate = _sqlstate(error)
    if sqlstate in _RACES:
        return Responsible.RACE
    if error.connection_invalidated:
        return Responsible.CONNECTION
    if sqlstate and sqlstate != _NOT_UTF8 and sqlstate.startswith(_CHANGE_CLASSES):
        return Responsible.CHANGE
    return Responsible.DATABASE


def code_of(error: BaseException) -> str:
    """Name an error for a log or a message; its text is left out, because PostgreSQL puts row values into it."""
    return _sqlstate(error) or type(error).__name__


def words_of_server(error: BaseException) -> str | None:
    """Return PostgreSQL's own message, for an operator's eyes alone: it may quote values; None when it said nothing."""
    cause = _cause(error)
    return str(cause) if isinstance(cause, asyncpg.PostgresError) else None


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
    cause = _cause(error)
    sqlstate = _sqlstate(error)
    if isinstance(cause, asyncpg.ProtocolViolationError):
        return _of_pooler(cause)
    if sqlstate:
        return next((trouble for start, trouble in _TROUBLES.items() if sqlstate.startswith(start)), Trouble.OTHER)
    trouble = next((trouble for kind, trouble in _BY_KIND if isinstance(cause, kind)), Trouble.OTHER)
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return Trouble.OUT_OF_REACH if lost and trouble is Trouble.OTHER else trouble


def _of_pooler(error: asyncpg.ProtocolViolationError) -> Trouble:
    if refuses_settings(error):
        return Trouble.POOLER
    return next((trouble for words, trouble in _POOLERS_WORDS.items() if words in str(error)), Trouble.OUT_OF_REACH)


def _sqlstate(error: BaseException) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _cause(error: BaseException) -> BaseException:
    """Return the driver's own error, which SQLAlchemy may have wrapped twice."""
    cause = getattr(error, "orig", None) or error
    driver = cause.__cause__ if isinstance(error, DBAPIError) else None
    return driver or cause
