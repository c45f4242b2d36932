"""Where PostgreSQL is and how to connect."""

import os
import pwd
import re
from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from adapters.postgres.connection.conninfo import read_conninfo
from adapters.postgres.connection.parameters import IGNORED, LIBPQ, OURS, UNSUPPORTED
from adapters.postgres.connection.passfile import password_for
from adapters.postgres.connection.service_file import read_service
from adapters.postgres.connection.tls import MODES, Tls, read_tls

SESSION_ATTRIBUTES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")

DEFAULT_HOSTS = ("/var/run/postgresql", "/tmp", "localhost")  # noqa: S108  # libpq's, as distributions build it
"""Tried in turn where none is named."""

_NO_NAME = re.compile(r"[\s\"'`<>{}()\[\]\\$*;&=?!|^#\u2010-\u2015\u2212]")
_SOCKET_FILE = re.compile(r"/\.s\.PGSQL\.[0-9]+/?\Z")
_LONGEST_PORT = 5
_TRUE, _FALSE = ("true", "1", "yes", "on", "t", "y"), ("false", "0", "no", "off", "f", "n")


Address: TypeAlias = tuple[str, int]


@frozen(kw_only=True)
class Target:
    """A connection string, understood."""

    addresses: tuple[Address, ...]
    """Host and port, in the order to try them; a host that begins with `/` is the folder of a Unix socket."""
    user: str
    password: str = field(repr=False)  # empty when there is none
    database: str
    tls: Tls
    wanted: str  # one of `SESSION_ATTRIBUTES`
    shuffled: bool  # try the addresses in any order
    connect_timeout_s: float | None  # for each address; None: a default
    application_name: str | None
    fallback_application_name: str | None
    options: str | None  # command line options for the server process, `-c name=value`
    search_path: str | None
    pooled: bool | None  # through a transaction-mode pooler; None: to be detected
    keepalives: Mapping[str, int]
    """libpq's parameters of the TCP socket: `keepalives`, `keepalives_idle` (s), …, `tcp_user_timeout` (ms)."""
    ignored: tuple[str, ...]  # parameters that change nothing
    written: str = field(repr=False, eq=False)  # the connection string itself, to be shown with its password masked


def read_target(text: str, environment: Mapping[str, str] = os.environ) -> Target:
    """Read a connection string, and libpq's other sources; a ValueError names the wrong part and repeats no value."""
    given = _with_libpq_names(read_conninfo(text))
    parameters = _completed(given, environment)
    addresses, named = _addresses(parameters)
    user, database = _user(parameters), parameters.get("dbname")
    if not database:
        raise ValueError("the database name is missing")
    several = len(addresses) > 1 and "host" in parameters
    target = Target(
        addresses=addresses,
        user=user,
        password=parameters.get("password") or password_for(parameters.get("passfile"), named, database, user),
        database=database,
        tls=read_tls(parameters, over_network=any(not host.startswith("/") for host, _ in addresses)),
        # libpq's default is any; but this service writes, and only one of several servers accepts writes.
        wanted=_one_of(parameters, "target_session_attrs", SESSION_ATTRIBUTES, "read-write" if several else "any"),
        shuffled=_one_of(parameters, "load_balance_hosts", ("disable", "random"), "disable") == "random",
        connect_timeout_s=_number(parameters, "connect_timeout") or None,
        application_name=parameters.get("application_name"),
        fallback_application_name=parameters.get("fallback_application_name"),
        options=parameters.get("options"),
        search_path=parameters.get("search_path"),
        pooled=_true_or_false(parameters, "pgbouncer"),
        keepalives={name: _number(parameters, name) for name in _SOCKET if name in parameters},
        ignored=tuple(name for name in given if name in IGNORED),
        written=text,
    )
    if target.pooled and target.search_path:
        raise ValueError(SCHEMA_BEHIND_POOLER)
    if "hostaddr" in parameters and "host" in parameters and target.tls.mode == "verify-full":
        raise ValueError(
            "hostaddr cannot stand beside sslmode=verify-full: the driver verifies the name it connects to"
        )
    return target


SCHEMA_BEHIND_POOLER = (
    "schema (or search_path) does not pass a transaction pooler: leave it out, and ALTER ROLE … SET search_path = …"
)
_SOCKET = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")


def _with_libpq_names(given: Mapping[str, str]) -> dict[str, str]:
    """Replace other clients' names by libpq's, and refuse unknown ones."""
    parameters = dict(given)
    before = ""
    for name in given:
        if name not in LIBPQ and name not in UNSUPPORTED and name not in IGNORED and name not in OURS:
            if before == "password" or "@" in given[name]:  # it may be a piece of a password
                raise ValueError(
                    f"{'what follows the password' if before == 'password' else 'one of the names'} is no "
                    "connection parameter: is all of the password escaped?"
                )
            raise ValueError(
                f"{name} is no connection parameter; a setting of the server is written options=-c%20{name}%3D…"
            )
        before = name
    for theirs, ours in {"database": "dbname", "username": "user", "encoding": "client_encoding"}.items():
        if theirs in parameters:
            parameters.setdefault(ours, parameters.pop(theirs))
    if ssl := parameters.pop("ssl", None):  # JDBC's, node-postgres' and asyncpg's
        mode = "require" if ssl.lower() in _TRUE else "disable" if ssl.lower() in _FALSE else ssl
        if mode not in MODES:
            raise ValueError(f"ssl is neither true nor false nor one of {', '.join(MODES)}")
        parameters.setdefault("sslmode", mode)
    if path := parameters.pop("currentSchema", None):  # JDBC's: a list
        parameters.setdefault("search_path", path)
    if schema := parameters.pop("schema", None):  # Prisma's: one name
        parameters.setdefault("search_path", '"{}"'.format(schema.replace('"', '""')))
    return parameters


def _completed(given: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Add the service file and the environment, in libpq's order."""
    parameters = dict(given)
    origin = dict.fromkeys(given, "")
    if service := parameters.get("service") or environment.get("PGSERVICE"):
        for name, value in read_service(service, environment).items():
            if name not in LIBPQ:
                raise ValueError(f"service: its file sets {name}, which is no connection parameter")
            if name not in parameters:
                parameters[name], origin[name] = value, " (in the service file)"
    for name, variable in LIBPQ.items():
        if variable and name not in parameters and environment.get(variable):
            parameters[name], origin[name] = environment[variable], f" ({variable} in the environment)"
    for name, unsupported in UNSUPPORTED.items():
        if name in parameters and parameters[name].lower() not in unsupported.harmless:
            raise ValueError(f"{name}{origin[name]} is not supported: {unsupported.why}")
    return parameters


def _addresses(parameters: Mapping[str, str]) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
    """Return where to connect to, and the same by host, as a password file names it, even where there is `hostaddr`."""
    hosts, by_address = (
        tuple(parameters[name].split(",")) if name in parameters else None for name in ("host", "hostaddr")
    )
    if hosts and len(hosts) > 1 and not all(hosts):
        raise ValueError("one of the hosts is missing: a comma too many?")
    hosts = hosts or by_address or DEFAULT_HOSTS
    by_address = by_address or hosts
    if len(by_address) != len(hosts):
        raise ValueError(f"hostaddr names {len(by_address)} addresses for {len(hosts)} hosts")
    for name, values in (("host", hosts), ("hostaddr", by_address)):
        if name in parameters and any(value.startswith("@") for value in values):
            raise ValueError(f"{name} is an abstract Unix socket, which the driver cannot reach")
        if name in parameters and any(_NO_NAME.search(value) for value in values if not value.startswith("/")):
            raise ValueError(f"a {name} holds a blank, a quote or another character that no name and no address has")
        if name in parameters and any(_SOCKET_FILE.search(value) for value in values):
            raise ValueError(f"{name} is the file of a Unix socket: leave only its folder, without /.s.PGSQL.…")
        if name in parameters and not all(map(_can_be_resolved, values)):
            raise ValueError(f"a {name} is no name: between its dots stand 1 to 63 characters")
    ports = parameters.get("port", "").split(",")
    if len(ports) not in (1, len(hosts)):
        raise ValueError(f"port names {len(ports)} ports for {len(hosts)} hosts")
    numbers = [_port(port) for port in ports] * (1 if len(ports) == len(hosts) else len(hosts))
    reached = [address or host for address, host in zip(by_address, hosts, strict=True)]
    return tuple(zip(reached, numbers, strict=True)), tuple(zip(hosts, numbers, strict=True))


def _can_be_resolved(host: str) -> bool:
    """Whether name resolution accepts it: for other texts Python raises an error that is no OSError."""
    try:
        return host.startswith("/") or host.encode("idna") is not None
    except UnicodeError:
        return False


def _port(text: str) -> int:
    if not text:
        return 5432
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_PORT and 1 <= int(text) <= 65535):  # noqa: PLR2004
        raise ValueError("port is not a number from 1 to 65535 (a / in the password is written %2F)")
    return int(text)


def _user(parameters: Mapping[str, str]) -> str:
    try:
        return parameters.get("user") or pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ValueError("the user is missing, and the one that runs this process has no name") from None


def _one_of(parameters: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = parameters.get(name, default)
    if value not in choices:
        raise ValueError(f"{name} is not one of {', '.join(choices)}")
    return value


def _number(parameters: Mapping[str, str], name: str) -> int:
    text = parameters.get(name, "0")
    if not (text.isascii() and text.isdecimal() and int(text[:10]) < 2**31):
        raise ValueError(f"{name} is not a whole number")
    return int(text)


def _true_or_false(parameters: Mapping[str, str], name: str) -> bool | None:
    if name not in parameters:
        return None
    value = parameters[name].lower()
    if value not in _TRUE + _FALSE:
        raise ValueError(f"{name} is neither true nor false")
    return value in _TRUE
