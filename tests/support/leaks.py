"""A search of what processes write for what must never be there: people, and whatever opens a door."""

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from entrypoints.config.clerk_values import WEBHOOK_SECRET_EXAMPLE

SHAPES = {
    "an email address": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b",
    "a session token": r"\beyJ[\w-]{8,}\.[\w-]{8,}",
    "a webhook secret": r"\bwhsec_[\w+/=-]{8,}",
    "a webhook signature": r"\bv1a?,[\w+/]{43,}=*",
    "a Clerk secret key": r"\bsk_(?:test|live)_\w{4,}",
    "a service key": r"\bask_[\w-]{20,}",
    "a private key": r"PRIVATE KEY-----",
    "a password in an address": r"://[^\s:/@]*:(?!\*+@)[^\s/@]+@",
}
"""Whatever their value: who searches need not know it."""

PEOPLE = ("Ada", "Augusta", "Lovelace", "Grace", "+15555550100")
"""Names and numbers of the users that tests make."""

SECRETS: Mapping[str, Callable[[str], list[str]]] = {
    "DATABASE_URL": lambda url: [urlsplit(url).password or ""],
    "DATABASE_REPLICA_URL": lambda url: [urlsplit(url).password or ""],
    "CLERK_WEBHOOK_SECRET": lambda text: [secret.removeprefix("whsec_") for secret in text.split(",")],
    "CLERK_SECRET_KEY": lambda text: [text],
    "AUTH_SERVICE_KEYS": lambda text: [key.partition(":")[2] for key in text.split(",")],
    "KAFKA_SASL_PASSWORD": lambda text: [text],
    "KAFKA_SSL_KEY_PASSWORD": lambda text: [text],
    "KAFKA_OAUTH_CLIENT_SECRET": lambda text: [text],
    "HTTPS_PROXY": lambda url: [urlsplit(url).password or ""],
    "HTTP_PROXY": lambda url: [urlsplit(url).password or ""],
    "ALL_PROXY": lambda url: [urlsplit(url).password or ""],
    "OTEL_EXPORTER_OTLP_HEADERS": lambda text: [header.partition("=")[2] for header in text.split(",")],
}
"""The variables that hold secrets, and what of their values to look for."""

_SHORTEST = 8
"""Characters of a secret that no log has by chance."""


def secrets_of(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Return each secret that a process is configured with: the variable, and what to look for."""
    for name, parts in SECRETS.items():
        for secret in filter(None, parts(variables.get(name, ""))):
            assert len(secret) >= _SHORTEST, f"{name}: this may stand in any log, so finding it would tell nothing"
            yield name, secret


def leaks(text: str, secrets: Mapping[str, str]) -> list[str]:
    """Return what is in the text and should not be; `secrets` has what each one is, by its text."""
    text = text.replace(WEBHOOK_SECRET_EXAMPLE, "")  # hints show it, and it is nobody's
    shapes = [f"{name}: {found[0]}" for name, shape in SHAPES.items() if (found := re.search(shape, text))]
    people = [name for name in PEOPLE if re.search(rf"(?<!\w){re.escape(name)}\b", text)]
    return [*shapes, *people, *(name for secret, name in secrets.items() if secret in text)]
