"""What may be shown of a value: enough to recognise it, and no secret."""

import re
from pathlib import Path
from typing import Any

from entrypoints.config.secret import Secret
from entrypoints.config.service_keys import ServiceKey

MASK = "*******"

# What says which kind of secret it is, and of which kind of instance.
_PREFIXES = ("sk_test_", "sk_live_", "whsec_")
_HARMLESS = re.compile(r"[A-Za-z0-9._%-]*")
_HOST = re.compile(r"[A-Za-z0-9._:,\[\]-]*")
_LONGEST = 60


def shown(value: Any) -> str:
    """Return a variable's value as text, with the secret in it masked; empty when there is none."""
    if isinstance(value, Secret):
        return _masked(value.get_secret_value())
    if isinstance(value, ServiceKey):
        return str(value).replace(value.digest.hex(), MASK)
    if isinstance(value, tuple):
        return ", ".join(shown(entry) for entry in value)
    if value is None:
        return ""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST or isinstance(value, Path) else f"{text[:_LONGEST]}…"


def _masked(secret: Any) -> str:
    if isinstance(secret, tuple):
        return ", ".join(_masked(entry) for entry in secret)
    if not isinstance(secret, str):
        secret = secret.written  # a parsed value keeps its text, such as `Target`
    if secret.startswith(("postgres://", "postgresql://", "http://", "https://")):
        return _without_password(secret)
    prefix = next((prefix for prefix in _PREFIXES if secret.startswith(prefix)), "")
    return prefix + MASK


def _without_password(url: str) -> str:
    """Show who and where, unless a piece of a password that is not escaped (with / @ ? or #) may stand there."""
    # Not `urlsplit`: newer releases of Python refuse several hosts of which one is an IPv6 address.
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path, _, query = rest.removeprefix(authority).partition("#")[0].partition("?")
    credentials, at, host = authority.rpartition("@")
    user, colon, _ = credentials.partition(":")
    name = path.removeprefix("/")
    if not (_HARMLESS.fullmatch(user) and _HOST.fullmatch(host) and _HARMLESS.fullmatch(name)):
        return f"{scheme}://{MASK}"
    if not at and ("@" in url or "#" in url):
        return f"{scheme}://{MASK}"
    more = f"?{MASK}" if query else ""
    return f"{scheme}://{user}{f':{MASK}' if colon else ''}{at}{host}/{name}{more}"
