"""Every statement has a form that Citus runs too, where users are distributed over several servers (docs/citus.md)."""

import importlib
import pkgutil
import re

from sqlalchemy import CompoundSelect, Delete, Insert, Select, TextClause, Update
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from adapters import postgres
from adapters.postgres.asyncpg_execution import Compiled
from adapters.postgres.tables import DISTRIBUTED_BY

_TABLES = "|".join(DISTRIBUTED_BY)
_VOLATILE = r"\b(clock_timestamp|timeofday|random|gen_random_uuid|nextval|setval)\s*\("
# Of a distributed table; a table of one server may do as it likes.
_SETS = (
    rf"\bUPDATE (?:{_TABLES}) SET (?P<set>.*?)(?=\bWHERE\b|\bRETURNING\b|$)",
    rf"\bINSERT INTO (?:{_TABLES})\b.*?\bDO UPDATE SET (?P<set>.*?)(?=\bWHERE\b|\bRETURNING\b|$)",
)
_BY_KEY = "|".join(
    rf"\b{table}\.{column} (?:=|IN)|\b(?:FROM|UPDATE) {table}\b(?: SET .*?)? WHERE {column} (?:=|IN)"
    for table, column in DISTRIBUTED_BY.items()
)

ONE_SERVER_ONLY = {"outbox._OLDEST", "outbox._LOWEST", "outbox._DELETE_FEW_AND_READ"}
"""Citus refuses them, and the relay then uses `_LOWEST_OF_ALL_SERVERS`: it is slower when many events wait."""

WITHOUT_KEY = {
    "outbox._OLDEST": "by lane",
    "outbox._LOWEST_OF_ALL_SERVERS": "by lane",
    "outbox_admin._LANES": "a count of everything",
    "outbox_admin._DISCARD": "an operator has a number only",
    "outbox_admin._LEFT": "an operator has a number only",
    "state_fill._PAGE": "page by page",
    "state_fill._WAITING": "a count of everything",
    "user_directory._COUNT": "a count of everything",
    "user_directory._SAMPLE": "by the time of creation",
    "user_directory._CREATED": "by the time of creation",
    "user_directory.BY_EMAIL": "by email",
    "user_directory.BY_EMAIL_AT_REPLICA": "by email",
    "replica.BY_EMAIL_AT_REPLICA": "by email",
    "user_directory.PAGE": "page by page",
    "session_store._FORGET": "by time",
    "stored_traces._WAITING_SESSIONS": "events of sessions have another key than their user",
    "stored_traces._DEAD_SESSIONS": "events of sessions have another key than their user",
}
"""Why every server has to be asked; whoever adds a statement without the key says so here."""


def statements() -> dict[str, str]:
    """Return the SQL of what the adapter's modules define, by module and name."""
    found = {}
    for module in pkgutil.iter_modules(postgres.__path__):
        for name, value in vars(importlib.import_module(f"adapters.postgres.{module.name}")).items():
            sql = None
            if isinstance(value, Compiled):
                sql = value.sql
            elif isinstance(value, Select | CompoundSelect | Insert | Update | Delete | TextClause):
                sql = str(value.compile(dialect=dialect()))
            if sql and re.search(rf"\b(?:FROM|JOIN|UPDATE|INTO) (?:{_TABLES})\b", sql):
                found[f"{module.name}.{name}"] = " ".join(sql.split())
    return found


def test_nothing_volatile_is_written_to_a_distributed_table():
    """Each server would evaluate it for itself; the time is a parameter, a default, or `now()`."""
    volatile = [
        name
        for name, sql in statements().items()
        for pattern in _SETS
        for found in re.finditer(pattern, sql)
        if re.search(_VOLATILE, found["set"])
    ]

    assert volatile == []


def test_no_statement_locks_rows_for_a_select():
    assert [
        name for name, sql in statements().items() if re.search(r"\bFOR (NO KEY |KEY )?(UPDATE|SHARE)\b", sql)
    ] == []


def test_no_limit_stands_below_a_lateral_join():
    lateral = {name for name, sql in statements().items() if re.search(r"\bLATERAL \(.*?\bLIMIT\b", sql)}

    assert lateral == ONE_SERVER_ONLY


def test_the_key_is_in_every_where_that_can_have_it():
    without = {name for name, sql in statements().items() if not re.search(_BY_KEY, sql) and "WHERE" in sql}

    assert without == WITHOUT_KEY.keys()


def test_the_rules_find_what_they_are_for():
    volatile = "UPDATE outbox_dead SET discarded_at = clock_timestamp() WHERE id = 1"
    lease = "UPDATE outbox_lane SET lease_until = clock_timestamp() WHERE lane = 1"
    upsert = "INSERT INTO outbox_dead (key) VALUES ('a') ON CONFLICT (key) DO UPDATE SET died_at = clock_timestamp()"

    assert [[bool(re.search(pattern, sql)) for pattern in _SETS] for sql in (volatile, lease, upsert)] == [
        [True, False],
        [False, False],
        [False, True],
    ]
    assert re.search(_BY_KEY, "DELETE FROM outbox WHERE outbox.key = ANY ($1)")
    assert not re.search(_BY_KEY, volatile)
