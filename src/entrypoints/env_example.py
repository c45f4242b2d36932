"""The settings as documents: `.env.example`, and the table in the README."""

import textwrap
from collections.abc import Iterator
from typing import Any

from attrs import NOTHING, fields
from typed_settings.constants import METADATA_KEY

from entrypoints.settings import (
    ClerkApiSettings,
    DatabaseSettings,
    HttpSettings,
    KafkaSettings,
    LogSettings,
    TokenSettings,
    WebhookSettings,
)

_GROUPS: dict[type, str] = {
    DatabaseSettings: "PostgreSQL: serve, relay, migrate",
    WebhookSettings: "Webhooks: serve",
    TokenSettings: "Session tokens: serve (one of the first two, or CLERK_JWKS_URL)",
    ClerkApiSettings: "Clerk's Backend API: serve (optional), users, reconcile",
    HttpSettings: "HTTP: serve",
    KafkaSettings: "Kafka: relay",
    LogSettings: "Logs: every command",
}


def env_example() -> str:
    """Return the file: each variable with a comment; those that have a default are commented out."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Copy to .env and fill in. The environment wins over this file; an empty variable counts as unset."
    for group, title in _GROUPS.items():
        yield f"\n# --- {title} ---"
        for attribute in fields(group):
            yield ""
            yield from _variable(attribute.name.upper(), attribute.metadata[METADATA_KEY], attribute.default)


def _variable(name: str, metadata: dict[str, Any], default: Any) -> Iterator[str]:
    yield from textwrap.wrap(metadata["help"], 110, initial_indent="# ", subsequent_indent="# ")
    if default is NOTHING:
        yield f"{name}={metadata['example']}"
    elif default:
        yield f"# {name}={default}"
    else:
        yield f"# {name}={metadata['example']}"


def configuration_table() -> str:
    """Return every variable as a row of a Markdown table."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for group, title in _GROUPS.items():
        rows.append(f"| **{title}** | | |")
        for attribute in fields(group):
            default = {NOTHING: "required", None: ""}.get(attribute.default, f"`{attribute.default}`")
            if attribute.default == ():
                default = ""
            help_ = attribute.metadata[METADATA_KEY]["help"].replace("|", "\\|")
            rows.append(f"| `{attribute.name.upper()}` | {default} | {help_} |")
    return "\n".join(rows) + "\n"
