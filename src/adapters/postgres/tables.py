"""The tables, as the newest migration leaves them (a test compares the two)."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

# A digest of personal data can be reversed by guessing.
_PERSONAL = (
    "email", "emails", "phone", "username", "first_name", "last_name", "image_url", "external_id", "public_metadata",
    "created_at", "updated_at", "source_digest",
)  # fmt: skip

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    # Incremented by every write, also without an event; a concurrent writer compares it (ADR 0004).
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("email_verified", sa.Boolean, nullable=False),
    # json, not jsonb, keeps the text as written (1.0, U+0000, the order of keys).
    sa.Column("emails", sa.JSON(none_as_null=True)),
    sa.Column("phone", sa.Text),
    sa.Column("username", sa.Text),
    sa.Column("first_name", sa.Text),
    sa.Column("last_name", sa.Text),
    sa.Column("image_url", sa.Text),
    sa.Column("external_id", sa.Text),
    sa.Column("public_metadata", sa.JSON(none_as_null=True)),
    sa.Column("banned", sa.Boolean, nullable=False),
    sa.Column("locked", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True)),
    sa.Column("updated_at", sa.DateTime(timezone=True)),
    sa.Column("deleted_at", sa.DateTime(timezone=True)),
    sa.Column("source_updated_at", sa.BigInteger),
    sa.Column("source_timestamp", sa.BigInteger),
    sa.Column("source_digest", sa.LargeBinary),
    sa.CheckConstraint(
        "deleted_at IS NULL OR coalesce(" + ", ".join(f"{name}::text" for name in _PERSONAL) + ") IS NULL",
        name="tombstone_holds_no_personal_data",
    ),
    # Only a change of the email changes it: all other updates are HOT.
    sa.Index(
        "users_lower_email_idx", sa.text("lower(email)"), postgresql_using="hash", postgresql_where="email IS NOT NULL"
    ),
    # For reconcile; no update changes it.
    sa.Index("users_created_at_idx", "created_at", "id", postgresql_where="deleted_at IS NULL"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    # For the waiting time and as a number for operators; the order of events is the version's.
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("lane", sa.SmallInteger, nullable=False),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("traceparent", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Index("outbox_lane_idx", "lane", "id"),
)

outbox_dead = sa.Table(
    "outbox_dead",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    # Unique, as drawn by the outbox; a constraint would prevent distribution by user.
    sa.Column("id", sa.BigInteger, nullable=False),
    sa.Column("lane", sa.SmallInteger, nullable=False),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
    # Null once the user was deleted or the letter discarded: personal data is erased, the row stays.
    sa.Column("payload", sa.LargeBinary),
    sa.Column("traceparent", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("died_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("discarded_at", sa.DateTime(timezone=True)),
    sa.Column("discard_reason", sa.Text),
    sa.Index("outbox_dead_id_idx", "id"),
)

# Distributed by user, with the row that `/v1/me` reads; the session first, because reads filter by it.
revoked_session = sa.Table(
    "revoked_session",
    metadata,
    sa.Column("session_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False),
    # By the database's clock: how long the row is kept must not depend on Clerk's.
    sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Index("revoked_session_recorded_at_idx", "recorded_at"),
)

outbox_lane = sa.Table(
    "outbox_lane",
    metadata,
    sa.Column("lane", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", sa.DateTime(timezone=True)),
    # The only producer that may write this lane's users to the state topic (ADR 0017); it may not exist any more.
    sa.Column("state_writer", sa.Text),
)

relay = sa.Table(
    "relay",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
)

reconcile_checkpoint = sa.Table(
    "reconcile_checkpoint",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("run", sa.Text, nullable=False),
    # Null before the first checkpoint.
    sa.Column("began_at", sa.DateTime(timezone=True)),
    sa.Column("state", sa.JSON(none_as_null=True)),
    sa.CheckConstraint("id = 1", name="one_row"),
)

DISTRIBUTED_BY = {"users": "id", "outbox": "key", "outbox_dead": "key", "revoked_session": "user_id"}
"""The distribution columns on Citus (docs/citus.md). Every unique constraint has them.

The other tables are small and stay on one server. A session is with its user, because `/v1/me` reads both; its event is
by the session's id."""
