"""The tables, as the newest migration leaves them (a test compares the two)."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

# A digest of personal data can be guessed back.
_PERSONAL = (
    "email", "emails", "phone", "username", "first_name", "last_name", "image_url", "external_id", "public_metadata",
    "created_at", "updated_at", "source_digest",
)  # fmt: skip

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    # Bumped by every write, also by those that publish nothing: what a concurrent writer compares (ADR 0004).
    Column("revision", BigInteger, nullable=False),
    Column("email", Text),
    Column("email_verified", Boolean, nullable=False),
    # json, not jsonb: the text comes back as it was written (1.0 stays 1.0, U+0000 and key order survive).
    Column("emails", JSON(none_as_null=True)),
    Column("phone", Text),
    Column("username", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("image_url", Text),
    Column("external_id", Text),
    Column("public_metadata", JSON(none_as_null=True)),
    Column("banned", Boolean, nullable=False),
    Column("locked", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
    Column("source_updated_at", BigInteger),
    Column("source_timestamp", BigInteger),
    Column("source_digest", LargeBinary),
    CheckConstraint(
        "deleted_at IS NULL OR coalesce(" + ", ".join(f"{name}::text" for name in _PERSONAL) + ") IS NULL",
        name="tombstone_holds_no_personal_data",
    ),
    # Only a change of the email touches it: all other updates stay on their page (HOT).
    Index("users_lower_email_idx", text("lower(email)"), postgresql_using="hash", postgresql_where="email IS NOT NULL"),
    # For reconcile, which reads ours beside Clerk's list; no update changes what is in it.
    Index("users_created_at_idx", "created_at", "id", postgresql_where="deleted_at IS NULL"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    # Says who has waited for long, and where the row is; order is the version's alone.
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("traceparent", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("outbox_lane_idx", "lane", "id"),
)

outbox_dead = Table(
    "outbox_dead",
    metadata,
    Column("key", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    # Drawn by the outbox, so it is unique; a constraint would keep the table from being spread by user.
    Column("id", BigInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    # Null once the user was deleted or the letter discarded: personal data goes, the trace that it was stays.
    Column("payload", LargeBinary),
    Column("traceparent", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("died_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("discarded_at", DateTime(timezone=True)),
    Column("discard_reason", Text),
    Index("outbox_dead_id_idx", "id"),
)

# Spread over servers by the user, beside the row that `/v1/me` reads; the session first, because that is what is asked.
revoked_session = Table(
    "revoked_session",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("revoked_at", DateTime(timezone=True), nullable=False),
    # By the database's clock: what says how long the row is kept must not be Clerk's word.
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("revoked_session_recorded_at_idx", "recorded_at"),
)

outbox_lane = Table(
    "outbox_lane",
    metadata,
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("owner", Text),
    Column("lease_until", DateTime(timezone=True)),
    # The only producer that may write this lane's users into the state topic (ADR 0017); it may be long dead.
    Column("state_writer", Text),
)

relay = Table(
    "relay",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seen_at", DateTime(timezone=True), nullable=False),
)

reconcile_checkpoint = Table(
    "reconcile_checkpoint",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False),
    # Null until the run has come somewhere.
    Column("began_at", DateTime(timezone=True)),
    Column("state", JSON(none_as_null=True)),
    CheckConstraint("id = 1", name="one_row"),
)

DISTRIBUTED_BY = {"users": "id", "outbox": "key", "outbox_dead": "key", "revoked_session": "user_id"}
"""Which column says on which server a row is, where there are several (docs/citus.md). Every unique constraint has it.

The other tables are a few rows for the whole installation, which stay on one server. A session is where its user is,
because `/v1/me` asks for both; its event is where the session's id says."""
