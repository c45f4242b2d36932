"""Every parameter of a connection string: libpq's, those of other clients, and what this service does with each."""

from collections.abc import Mapping

from attrs import frozen

LIBPQ: Mapping[str, str | None] = {
    **{
        name: f"PG{name.replace('_', '').upper()}"
        for name in (
            *("service", "user", "password", "passfile", "channel_binding", "host", "hostaddr", "port"),
            *("client_encoding", "options", "sslmode", "sslnegotiation", "sslcompression", "sslcert", "sslkey"),
            *("sslcertmode", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "requirepeer", "require_auth"),
            *("min_protocol_version", "max_protocol_version", "ssl_min_protocol_version", "ssl_max_protocol_version"),
            *("gssencmode", "krbsrvname", "gsslib", "gssdelegation", "target_session_attrs", "load_balance_hosts"),
        )
    },
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME",
    **dict.fromkeys(
        (
            *("fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
            *("tcp_user_timeout", "sslpassword", "replication", "scram_client_key", "scram_server_key"),
            *("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope", "sslkeylogfile"),
        )
    ),
}
"""libpq's parameters (version 18), and the environment variable of each."""


@frozen
class Unsupported:
    """A parameter that the driver does not support: values without effect are accepted, all others refused."""

    harmless: tuple[str, ...]
    why: str


_DRIVER = "the driver lacks it"
UNSUPPORTED: Mapping[str, Unsupported] = {
    "client_encoding": Unsupported(("auto", "utf8", "utf-8", "unicode"), "this service speaks UTF8"),
    "sslcompression": Unsupported(("0",), "TLS compression is unsafe"),
    "sslcertmode": Unsupported(("allow", "disable"), _DRIVER),
    "sslsni": Unsupported(("1",), _DRIVER),
    "min_protocol_version": Unsupported(("3.0",), _DRIVER),
    "max_protocol_version": Unsupported(("3.0", "3.2", "latest"), _DRIVER),
    "gssencmode": Unsupported(("disable", "prefer"), _DRIVER),
    "gssdelegation": Unsupported(("0",), _DRIVER),
    "replication": Unsupported(("false", "off", "no", "0"), "this service does not replicate"),
    **dict.fromkeys(
        (
            *("requirepeer", "require_auth", "krbsrvname", "gsslib", "scram_client_key", "scram_server_key"),
            *("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"),
        ),
        Unsupported((), _DRIVER),
    ),
    "sslkeylogfile": Unsupported((), "it would write down the keys of every connection"),
    # Prisma's, and npgsql's: they ask for a check, or hold a certificate, in a form of their own.
    "sslaccept": Unsupported(("accept_invalid_certs",), "write sslmode=verify-full&sslrootcert=… instead"),
    "sslidentity": Unsupported((), "write sslcert=…&sslkey=… (PEM) instead"),
}

IGNORED = {
    # libpq's; the driver lacks it, and identifies a server by its certificate.
    "channel_binding": "the driver has no channel binding; sslmode=verify-full verifies the server",
    **dict.fromkeys(
        (
            *("connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size"),  # Prisma
            *("single_use_connections", "max_connection_lifetime", "max_idle_connection_lifetime"),
            *("pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time"),  # pgx
            *("pool_health_check_period", "default_query_exec_mode", "statement_cache_capacity"),
            *("description_cache_capacity", "statement_cache_mode", "prefer_simple_protocol", "binary_parameters"),
            *("prepareThreshold", "preparedStatements", "preferQueryMode", "tcpKeepAlive", "reWriteBatchedInserts"),
            *("loginTimeout", "socketTimeout", "connectTimeout", "stringtype"),  # JDBC
            *("pool", "pool_size", "max_overflow", "reaping_frequency", "checkout_timeout", "prepared_statements"),
            *("conn_max_age", "conn_health_checks", "prepared_statement_cache_size", "async_fallback"),
            *("supa", "workaround", "uselibpqcompat"),  # Vercel's marks, and node-postgres'
        ),
        "another client's",
    ),
}
"""Parameters that are accepted without effect, and why."""

OURS = ("pgbouncer", "ssl", "schema", "currentSchema", "search_path", "encoding", "database", "username")
"""Other clients' names for what this service supports."""
