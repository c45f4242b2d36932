"""`auth-service service-key`: keys with which other services manage users."""

import json as json_format
import sys

from cyclopts import App

from entrypoints.configuration import EX_USAGE
from entrypoints.service_keys import new_service_key

app = App(name="service-key", help="Make keys with which other services manage users.")


@app.command
def new(name: str, /, *, json: bool = False) -> None:
    """Make a key up for another service, and say what to configure here. The key is shown once and kept nowhere.

    Several keys may be configured, so rotate by adding the new one, giving it to the other service, and removing the
    old one.

    Parameters
    ----------
    name
        Who will hold it, for the log: letters, digits, `.`, `_` and `-`. One service may hold several while it rotates:
        billing-1, billing-2.
    json
        One object for other programs: `name`, `key`, and `configure`, which is what AUTH_SERVICE_KEYS takes.
    """
    try:
        key, configured = new_service_key(name)
    except ValueError:
        print(f"NAME {name!r}: expected up to 64 letters, digits, `.`, `_` or `-`.", file=sys.stderr)
        sys.exit(EX_USAGE)
    if json:
        print(json_format.dumps({"name": configured.name, "key": key, "configure": str(configured)}))
        return
    print(f"For {configured.name}, which sends it as `Authorization: Bearer …`:\n\n  {key}\n")
    print(f"For this service, beside the keys that AUTH_SERVICE_KEYS has already (comma-separated):\n\n  {configured}")
