"""An index for look-ups by email, and dead letters whose uniqueness is the user's alone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Users can be spread over servers by their id; a constraint without it would have to be checked on all of them.
    # The sequence draws each id once as it is. First, because its lock is short: whoever must wait for it learns of it
    # before the index is built and thrown away.
    op.drop_constraint("outbox_dead_id_key", "outbox_dead", type_="unique")
    op.create_index("outbox_dead_id_idx", "outbox_dead", ["id"])

    # Hash: an equality is all that is asked, and a B-tree would refuse a text of more than 2,704 bytes, and with it the
    # webhook that brings it. Writes wait while it is built (reads do not): 1.0 s for a million users. Where that is too
    # long, it was built before, CONCURRENTLY (docs/operations.md); what such an attempt leaves when it fails is no use.
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('users_lower_email_idx')"
        " AND NOT indisvalid) THEN DROP INDEX users_lower_email_idx; END IF; END $$"
    )
    op.create_index(
        "users_lower_email_idx",
        "users",
        [sa.text("lower(email)")],
        postgresql_using="hash",
        postgresql_where=sa.text("email IS NOT NULL"),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_index("users_lower_email_idx", "users")
    op.drop_index("outbox_dead_id_idx", "outbox_dead")
    op.create_unique_constraint("outbox_dead_id_key", "outbox_dead", ["id"])
