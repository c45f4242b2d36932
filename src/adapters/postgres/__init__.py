"""PostgreSQL: the users table, the outbox beside it, and the only statements that touch them."""
