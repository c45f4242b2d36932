"""Parameters under a service's name (PostgreSQL documentation, "The Connection Service File")."""

import configparser
from collections.abc import Mapping
from pathlib import Path

from adapters.postgres.connection.tls import may_read


def read_service(service: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the file says of the service, or raise ValueError: there is none, or the file cannot be read."""
    named = environment.get("PGSERVICEFILE")
    files = [Path(named)] if named else [Path(environment.get("HOME", "/"), ".pg_service.conf")]
    if "PGSYSCONFDIR" in environment:
        files.append(Path(environment["PGSYSCONFDIR"], "pg_service.conf"))
    for path in files:
        if not may_read(path):
            if named:
                raise ValueError("service: the file that PGSERVICEFILE names is missing, or may not be read")
            continue
        parser = configparser.RawConfigParser(
            delimiters=("=",), comment_prefixes=("#",), strict=False, default_section="\0"
        )
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            raise ValueError(f"service: {path.name} is not in the form [service], name=value") from None
        if parser.has_section(service):
            return {name: value for name, value in parser.items(service) if value}
    raise ValueError("service: no file has a service of this name")
