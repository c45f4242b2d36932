"""How busy a process keeps PostgreSQL."""

from attrs import frozen


@frozen(kw_only=True)
class DatabaseLoad:
    """One reading of this process."""

    waiting_changes: int  # changes of users that have no answer yet
    connections_in_use: int
    connections_idle: int
