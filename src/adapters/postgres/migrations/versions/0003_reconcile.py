"""Living users by the time of their creation, and where an interrupted reconcile goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "reconcile_checkpoint",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True)),
        sa.Column("state", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="reconcile_checkpoint_pkey"),
        sa.CheckConstraint("id = 1", name=op.f("reconcile_checkpoint_one_row_check")),
    )
    # A user's time of creation never changes, so updates stay on their page (HOT).
    op.create_index(
        "users_created_at_idx",
        "users",
        ["created_at", "id"],
        postgresql_where=sa.text("deleted_at IS NULL"),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_index("users_created_at_idx", "users")
    op.drop_table("reconcile_checkpoint")
