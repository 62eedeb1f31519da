"""Decisions of three tasks.

Decisions become texts, the probabilities of all classes stand beside them, and a threshold may be absent.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

SQL = """
-- True, false, the name of a class, or a number.
alter table ops.predictions
    alter column decision type text using decision::text,
    alter column threshold drop not null,
    add column probabilities jsonb;
alter table ops.batch_predictions
    alter column decision type text using decision::text,
    add column probabilities jsonb;
"""


def upgrade() -> None:
    """Apply the SQL, in the transaction of this migration."""
    op.execute(SQL)
