"""Facts about the database, for `doctor`."""

import secrets
import time
from typing import cast
from uuid import uuid4

import msgspec
from attrs import evolve
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.cluster import read_cluster
from adapters.postgres.connection.dial import Dialer, Driver, is_behind_pooler
from adapters.postgres.failures import connected, raised_as_unavailable
from adapters.postgres.revisions import known_revisions, read_schema
from adapters.postgres.shards import Workers
from application.doctor.database import DatabaseFacts

# By the names of `DatabaseFacts`, but for the clock.
_FACTS = text("""
    SELECT current_setting('server_version') AS server,
           current_setting('server_version_num')::int AS version,
           current_setting('server_encoding') AS encoding,
           pg_is_in_recovery() AS standby,
           extract(epoch FROM clock_timestamp())::float8 AS now,
           (SELECT json_object_agg(name, setting) FROM pg_settings
            WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum', 'track_counts'))
               AS settings,
           (SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout') AS idle_limit_ms,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
           (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'
            AND query_start < clock_timestamp() - interval '2 seconds') AS waiting_for_standby,
           (SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END)::int FROM pg_settings
            WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections'))
               AS connections_allowed,
           coalesce((SELECT json_object_agg(option_name, option_value)
                     FROM pg_class, pg_options_to_table(reloptions) WHERE oid = to_regclass('outbox')), '{}')
               AS outbox_options,
           coalesce(pg_total_relation_size(to_regclass('outbox')), 0) AS outbox_bytes,
           coalesce(pg_relation_size(to_regclass('users')), 0) AS users_bytes,
           coalesce((SELECT reltuples >= 0 FROM pg_class WHERE oid = to_regclass('users')), false) AS users_analyzed
""")

PROBE_BYTES = 64 * 1024
"""Of random bytes, which cannot be compressed: enough to extend the table's files, which fails on a full disk."""

# Only the columns without a default; the key is no Clerk id, so it is no user's row.
_STORE_USER = text("""
    INSERT INTO users (id, version, revision, email_verified, banned, locked) VALUES (:key, 1, 1, false, false, false)
""")
# With an explicit id: the sequence counts stored events.
_STORE_EVENT = text("""
    INSERT INTO outbox (id, key, version, lane, event_id, type, occurred_at, payload) OVERRIDING SYSTEM VALUE
    VALUES (-1, :key, 1, 0, :event_id, 'doctor', clock_timestamp(), :payload)
""")
_STORE_SESSION = text("INSERT INTO revoked_session (session_id, user_id, revoked_at) VALUES (:key, :key, now())")
# A relay needs these rights too.
_DELETE_EVENT = text("DELETE FROM outbox WHERE key = :key")
_DELETE_SESSION = text("DELETE FROM revoked_session WHERE user_id = :key AND session_id = :key")


async def examine_database(engine: AsyncEngine) -> DatabaseFacts:
    """Read the facts, or raise StoreUnavailableError."""
    async with connected(engine) as connection:
        asked = time.time()
        facts = dict((await connection.execute(_FACTS)).mappings().one())
        facts |= {name: msgspec.json.decode(facts[name]) for name in ("settings", "outbox_options")}
        answered = time.time()
        schema = await read_schema(connection)
        cluster = await read_cluster(connection)
        driver = cast("Driver", (await connection.get_raw_connection()).driver_connection)
    if cluster and cluster.coordinator:
        workers = Workers(engine)
        cluster = evolve(cluster, unreached=await workers.unreached(cluster.servers))
        await workers.aclose()
    dialer: Dialer = engine.get_execution_options()["dialer"]
    return DatabaseFacts(
        clock_ahead_s=facts.pop("now") - (asked + answered) / 2,
        **facts,
        ignored=dialer.target.ignored,
        pooled=is_behind_pooler(driver),
        revision=schema.revision,
        revisions=known_revisions(),
        schema=schema.state,
        cluster=cluster,
    )


async def try_writing(engine: AsyncEngine) -> None:
    """Store a user, an event and a session, and roll back, or raise StoreUnavailableError."""
    asked = {"key": f"doctor-{uuid4()}", "event_id": uuid4(), "payload": secrets.token_bytes(PROBE_BYTES)}
    with raised_as_unavailable():
        async with engine.connect() as connection:  # it is closed without a COMMIT
            for statement in (_STORE_USER, _STORE_EVENT, _STORE_SESSION, _DELETE_EVENT, _DELETE_SESSION):
                await connection.execute(statement, asked)
