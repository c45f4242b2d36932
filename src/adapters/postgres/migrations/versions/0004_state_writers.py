"""Who may write a lane's users into the state topic."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("outbox_lane", sa.Column("state_writer", sa.Text))


def downgrade() -> None:
    op.drop_column("outbox_lane", "state_writer")
