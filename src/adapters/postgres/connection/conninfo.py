"""Parses a PostgreSQL connection string as libpq does: a URL, or `host=… dbname=…`.

Source of the rules: PostgreSQL documentation, "Connection Strings" (libpq); a test compares this with libpq itself.
Unlike there, a value in the query may contain `=`, as in `?options=-csearch_path=auth`.

Every `ValueError` names the part that is wrong and never repeats a value.
"""

import re
from urllib.parse import unquote_to_bytes

SCHEMES = ("postgresql://", "postgres://")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.:-]*)://")
_KEYWORD = re.compile(r"\s*[A-Za-z_]+\s*=")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,40}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def read_conninfo(text: str) -> dict[str, str]:
    """Return what the text sets to more than nothing, by libpq's names; ValueError: it is no connection string."""
    if text.startswith(SCHEMES):
        parameters = _read_url(text.partition("://")[2])
    elif scheme := _SCHEME.match(text):
        raise ValueError(_about_scheme(scheme[1]))
    elif _KEYWORD.match(text):
        parameters = _read_keywords(text)
    else:
        raise ValueError("neither a URL that begins with postgresql:// nor host=… dbname=…")
    return {name: value for name, value in parameters.items() if value}


def _about_scheme(scheme: str) -> str:
    if scheme.lower().startswith("jdbc:") or scheme.partition("+")[0].lower() in ("postgresql", "postgres"):
        return "the scheme is not postgresql:// (it names a driver or differs in case: leave only postgresql://)"
    return "the scheme is not postgresql://"


def _read_url(rest: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    before_slash = rest.partition("/")[0]
    if "@" in before_slash:
        credentials, _, rest = rest.partition("@")
        user, _, password = credentials.partition(":")
        parameters |= {"user": _decoded(user, "the user"), "password": _decoded(password, "the password")}
    where, _, query = rest.partition("?")
    hosts_and_ports, _, name = where.partition("/")
    if "@" in hosts_and_ports:
        raise ValueError("an @ stands in the host: one in the user or the password is written %40")
    hosts, ports = _read_hosts(hosts_and_ports)
    parameters |= {"host": _decoded(hosts, "the host"), "port": _decoded(ports, "the port")}
    parameters["dbname"] = _decoded(name, "the database name")
    return parameters | _read_query(query)


def _read_hosts(text: str) -> tuple[str, str]:
    """Return the hosts and the ports, each comma-separated, as libpq keeps them."""
    hosts, ports = [], []
    for number, entry in enumerate(text.split(","), 1):
        if entry.startswith("["):
            host, bracket, port = entry[1:].partition("]")
            if not host or not bracket or (port and not port.startswith(":")):
                raise ValueError(f"host {number} is not an IPv6 address in brackets")
            port = port[1:]
        else:
            host, _, port = entry.partition(":")
            if ":" in port:
                raise ValueError(f"host {number} holds several colons: an IPv6 address stands in brackets")
        hosts.append(host)
        ports.append(port)
    return ",".join(hosts), ",".join(ports)


def _read_query(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for number, pair in enumerate(query.split("&") if query else (), 1):
        key, equals, value = pair.partition("=")
        name = _decoded(key, f"parameter number {number}")
        if not equals:
            escaped = ": is all of the password escaped?" if "@" in pair else ""
            raise ValueError(f"parameter number {number} has no value{escaped}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"parameter number {number} is no name")
        parameters[name] = _decoded(value, f"parameter number {number}")
    return parameters


def _decoded(text: str, part: str) -> str:
    """Undo percent-encoding; unlike in a form, a plus sign is a plus sign, and blanks around do not count."""
    text = text.strip(" ")
    if _BAD_PERCENT.search(text):
        raise ValueError(f"{part} holds a % that begins no percent-encoding: it is written %25")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{part} is not UTF-8") from None
    if not decoded.isprintable():
        raise ValueError(f"{part} holds line breaks or other invisible characters")
    return decoded


_PAIR = re.compile(
    r"""\s*([A-Za-z0-9_.]+)\s*=\s*            # name =
        (?:'((?:[^'\\]|\\.)*)'(?=\s|$)        # 'value with blanks, \' and \\ escaped'
        |((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)?  # value
        )(?=\s|$)\s*""",
    re.VERBOSE,
)


def _read_keywords(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            number = len(parameters) + 1
            raise ValueError(f"pair {number} is not name=value: a value with blanks stands in single quotes")
        value = pair[2] if pair[2] is not None else pair[3] or ""
        parameters[pair[1]] = re.sub(r"\\(.)", r"\1", value)
        at = pair.end()
    return parameters
