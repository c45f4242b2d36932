"""`auth-service service-key`: keys with which other services manage users."""

import json as json_format
from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, Parameter

from entrypoints.cli.exit_codes import EX_USAGE
from entrypoints.cli.terminal import fail
from entrypoints.config.service_keys import EVERYTHING, READ, SCOPES, new_service_key

app = App(name="service-key", help="Create keys for other services that manage users.")


@app.command
def new(name: str, /, *, scope: Annotated[Sequence[str], Parameter(negative="")] = (READ,), json: bool = False) -> None:
    """Create a key for another service, and print what to configure here. The key is printed once and not stored.

    Several keys may be configured, so rotate by adding the new one, giving it to the other service, and removing the
    old one.

    Args:
        name: Name of the service, for the log: letters, digits, `.`, `_` and `-`. One service may hold several while it
            rotates: billing-1, billing-2.
        scope: What the key may do; repeatable: read, ban, unban, lock, unlock, sync, set-metadata,
            revoke-sessions, delete; `*` is all of them.
        json: One object for other programs: `name`, `key`, `scopes`, and `configure`, which is what AUTH_SERVICE_KEYS
            takes.
    """
    if unknown := [each for each in scope if each not in (*SCOPES, EVERYTHING)]:
        fail(f"--scope {unknown[0]!r}: expected one of {', '.join(SCOPES)}, or *.", EX_USAGE)
    try:
        key, configured = new_service_key(name, scope)
    except ValueError:
        fail(f"NAME {name!r}: expected up to 64 letters, digits, `.`, `_` or `-`.", EX_USAGE)
    if json:
        scopes = sorted(configured.scopes)
        document = {"name": configured.name, "key": key, "scopes": scopes, "configure": str(configured)}
        print(json_format.dumps(document))
        return
    print(f"For {configured.name}, which sends it as `Authorization: Bearer …`:\n\n  {key}\n")
    print(f"For this service, beside the keys that AUTH_SERVICE_KEYS has already (comma-separated):\n\n  {configured}")
