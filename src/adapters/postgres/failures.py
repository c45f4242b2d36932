"""The causes of database errors, who has to act, and whether a retry helps."""

import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from enum import Enum, auto

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, Row, directly
from adapters.postgres.connection.driver import UnusableParameterError, refuses_settings
from adapters.postgres.connection.route import NoPrimaryError, StandbyMissingError
from application.errors import StoreUnavailableError
from application.failure import Cause

DATABASE_ERRORS = (DBAPIError, PoolTimeoutError, OSError)
"""Everything that a statement on the engine may raise when PostgreSQL fails or is out of reach."""


class Responsible(Enum):
    """Who has to act."""

    RACE = auto()  # a conflict with another writer: retry at once
    CONNECTION = auto()  # the connection was lost: retry on a new one
    CHANGE = auto()  # this data can never be stored
    DATABASE = auto()  # anything else: read-only, full, not migrated, overloaded; the operator acts, the sender retries


# PostgreSQL documentation, appendix A, by class (the first two characters).
_CHANGE_CLASSES = ("22", "23", "54", "P0")
_NOT_UTF8 = "22P05"  # the database's encoding lacks a character of valid data
_RACES = ("40001", "40P01")

# The same appendix: codes, or how they begin.
_CODES = {
    Cause.ENCODING: (_NOT_UTF8,),
    Cause.READ_ONLY: ("25006",),
    Cause.POOLER: ("26", "42P05"),
    Cause.NOT_AUTHENTICATED: ("28",),
    Cause.NO_DATABASE: ("3D",),
    Cause.NOT_MIGRATED: ("3F", "42P01", "42703", "42883"),
    Cause.NOT_AUTHORIZED: ("42501",),
    Cause.DISK_FULL: ("53100",),
    Cause.TOO_MANY_CONNECTIONS: ("53300", "53400"),
    Cause.NO_ANSWER: ("55P03", "57014"),
    Cause.OUT_OF_REACH: ("57P", "08"),
}

# PgBouncer has one code for all errors of its own (its source, `disconnect_client`).
_POOLER_TEXTS = {
    "no such database": Cause.NO_DATABASE,
    "does not exist": Cause.NO_DATABASE,
    "authentication failed": Cause.NOT_AUTHENTICATED,
    "no such user": Cause.NOT_AUTHENTICATED,
    "no more connections": Cause.TOO_MANY_CONNECTIONS,
}

# Errors without an SQLSTATE; the first that fits.
_BY_KIND = (
    (UnusableParameterError, Cause.CONFIGURATION),
    (socket.gaierror, Cause.NAME_RESOLUTION),
    (ssl.SSLError, Cause.TLS),
    (NoPrimaryError, Cause.NO_PRIMARY),
    (StandbyMissingError, Cause.NO_STANDBY),
    ((PoolTimeoutError, TimeoutError), Cause.NO_ANSWER),
    (OSError, Cause.OUT_OF_REACH),
)


def fault_of(error: BaseException) -> Responsible:
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
    """Return an error's code for a log or a message; its text may contain values of a row."""
    if isinstance(error, (NoPrimaryError, StandbyMissingError)):
        return str(error)
    return _sqlstate(error) or type(_cause(error)).__name__


def words_of_server(error: BaseException) -> str | None:
    """Return PostgreSQL's message, if any, only for an operator: it may contain values."""
    cause = _cause(error)
    return str(cause) if isinstance(cause, asyncpg.PostgresError) else None


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection in a transaction; StoreUnavailableError has the code of an error."""
    with raised_as_unavailable():
        async with engine.begin() as connection:
            yield connection


async def fetched(
    engine: AsyncEngine, statement: Compiled, parameters: Mapping[str, object], *, commits: bool = False
) -> list[Row]:
    """Run one statement by the driver, as `directly`; StoreUnavailableError has the code of an error."""
    with raised_as_unavailable():
        async with directly(engine, commits=commits) as driver:
            return await statement.fetch(driver, parameters)


@contextmanager
def raised_as_unavailable() -> Iterator[None]:
    try:
        yield
    except DATABASE_ERRORS as error:
        raise unavailable(error) from None


def unavailable(error: BaseException) -> StoreUnavailableError:
    """Return the application's error for one from `DATABASE_ERRORS`."""
    return StoreUnavailableError(code_of(error), cause_of(error))


def cause_of(error: BaseException) -> Cause:
    """Return the cause of an error from `DATABASE_ERRORS`."""
    cause = _cause(error)
    sqlstate = _sqlstate(error)
    if isinstance(cause, asyncpg.ProtocolViolationError):
        return _of_pooler(cause)
    if sqlstate:
        return next((meant for meant, codes in _CODES.items() if sqlstate.startswith(codes)), Cause.OTHER)
    meant = next((meant for kind, meant in _BY_KIND if isinstance(cause, kind)), Cause.OTHER)
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return Cause.OUT_OF_REACH if lost and meant is Cause.OTHER else meant


def _of_pooler(error: asyncpg.ProtocolViolationError) -> Cause:
    if refuses_settings(error):
        return Cause.POOLER
    return next((meant for part, meant in _POOLER_TEXTS.items() if part in str(error)), Cause.OUT_OF_REACH)


def _sqlstate(error: BaseException) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _cause(error: BaseException) -> BaseException:
    """Return the driver's own error, which SQLAlchemy may have wrapped twice."""
    cause = getattr(error, "orig", None) or error
    driver = cause.__cause__ if isinstance(error, DBAPIError) else None
    return driver if isinstance(driver, Exception) else cause  # a deadline's cause is CancelledError
