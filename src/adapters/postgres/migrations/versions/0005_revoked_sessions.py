"""Sessions whose tokens are refused, for as long as a token can name them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "revoked_session",
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.PrimaryKeyConstraint("session_id", "user_id", name="revoked_session_pkey"),
    )
    op.create_index("revoked_session_recorded_at_idx", "revoked_session", ["recorded_at"])
    # Every row is inserted and deleted an hour later: vacuum by count, as the outbox is.
    op.execute(
        "ALTER TABLE revoked_session SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
        " autovacuum_vacuum_cost_delay = 0)"
    )


def downgrade() -> None:
    # The release before publishes whatever waits in the outbox to the topic of users.
    op.execute("DELETE FROM outbox WHERE type = 'anomalyze.session.revoked.v1'")
    op.execute("DELETE FROM outbox_dead WHERE type = 'anomalyze.session.revoked.v1'")
    op.drop_table("revoked_session")
