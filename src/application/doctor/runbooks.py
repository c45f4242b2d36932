"""Where the documentation treats each check of `doctor`."""

_CHECKS = {
    "configuration.md#configuration": ("configuration",),
    "quick-start.md#with-your-clerk-instance": ("webhook secret", "session tokens"),
    "rotation.md#kafkas-certificates-and-client-secret": ("client certificate",),
    "operations.md#who-may-manage-users": ("managing users",),
    "runbooks.md#databaseunavailable": ("database", "encoding", "schema", "connections", "writes"),
    "hosting.md#postgresql": ("DATABASE_URL",),
    "operations.md#behind-pgbouncer": ("pooler",),
    "operations.md#what-postgresql-needs": ("database version", "autovacuum", "statistics"),
    "failover.md#what-to-configure": ("durability",),
    "runbooks.md#vacuumblocked": ("idle transactions", "vacuum"),
    "citus.md#step-by-step": ("citus", "distribution"),
    "citus.md#differences": ("citus workers",),
    "replicas.md#check": ("replica",),
    "runbooks.md#relayabsent": ("relay",),
    "runbooks.md#deadletters": ("dead letters",),
    "runbooks.md#relaycannotpublish": ("kafka", "topic", "topic rights", "topic copies"),
    "operations.md#what-runs": ("topic settings",),
    "runbooks.md#meerrors": ("clerk",),
    "rotation.md#clerks-secret-key": ("clerk secret key",),
    "runbooks.md#jwksstale": ("signing keys", "session_keys"),
    "operations.md#without-an-alert": ("clerk instance",),
    "security.md#tokens": ("token issuer", "authorized parties"),
    "runbooks.md#clockskew": ("clock", "session_tokens"),
    "operations.md#finding-the-cause": ("serve",),
    "runbooks.md#webhooksrejected": ("webhooks",),
    "runbooks.md#outboxold": ("events",),
    "containers.md#how-a-process-stops": ("process",),
}
"""By page in docs/ and its heading: checks, and names in /health of `serve` where they differ."""

RUNBOOKS = {check: page for page, checks in _CHECKS.items() for check in checks}
