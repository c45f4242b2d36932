"""The users table, the outbox, its dead letters, its lanes and the relays that share them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_LANES = 64  # frozen here on purpose: a migration describes its own moment


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("email_verified", sa.Boolean, nullable=False),
        sa.Column("emails", sa.JSON),
        sa.Column("phone", sa.Text),
        sa.Column("username", sa.Text),
        sa.Column("first_name", sa.Text),
        sa.Column("last_name", sa.Text),
        sa.Column("image_url", sa.Text),
        sa.Column("external_id", sa.Text),
        sa.Column("public_metadata", sa.JSON),
        sa.Column("banned", sa.Boolean, nullable=False),
        sa.Column("locked", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("source_updated_at", sa.BigInteger),
        sa.Column("source_timestamp", sa.BigInteger),
        sa.Column("source_digest", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="users_pkey"),
        sa.CheckConstraint(
            "deleted_at IS NULL OR coalesce(email::text, emails::text, phone::text, username::text, first_name::text, "
            "last_name::text, image_url::text, external_id::text, public_metadata::text, created_at::text, "
            "updated_at::text, source_digest::text) IS NULL",
            name=op.f("users_tombstone_holds_no_personal_data_check"),
        ),
    )
    # Room on the page for the next version of a row: no column that changes is indexed, so updates stay on it (HOT).
    op.execute("ALTER TABLE users SET (fillfactor = 85)")

    op.create_table(
        "outbox",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("traceparent", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.PrimaryKeyConstraint("key", "version", name="outbox_pkey"),
    )
    op.create_index("outbox_lane_idx", "outbox", ["lane", "id"])
    # Every row is inserted and soon deleted: vacuum by count, not by share of a table that is nearly empty, and
    # without pauses. Payloads are small; compressing them would cost more than it saves for a row that lives for ms.
    op.execute(
        "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
        " autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0,"
        " autovacuum_analyze_threshold = 100000)"
    )

    op.create_table(
        "outbox_dead",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("traceparent", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("died_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("discarded_at", sa.DateTime(timezone=True)),
        sa.Column("discard_reason", sa.Text),
        sa.PrimaryKeyConstraint("key", "version", name="outbox_dead_pkey"),
        sa.UniqueConstraint("id", name="outbox_dead_id_key"),
    )

    lane = op.create_table(
        "outbox_lane",
        sa.Column("lane", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("lane", name="outbox_lane_pkey"),
    )
    op.bulk_insert(lane, [{"lane": number} for number in range(_LANES)])

    op.create_table(
        "relay",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="relay_pkey"),
    )


def downgrade() -> None:
    for table in ("relay", "outbox_lane", "outbox_dead", "outbox", "users"):
        op.drop_table(table)
