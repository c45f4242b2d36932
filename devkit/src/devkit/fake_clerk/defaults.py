"""The Clerk stand-in over HTTP: its server, and the page that people use it by."""

import json
import secrets
from pathlib import Path

PORT = 3004
DATA_FILE = "clerk.json"


def html(*, secret_key: str, service: str) -> str:
    """Return the page; `service` is where the auth service answers, for the commands that it shows."""
    template = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    # In a script element `</` would end it, wherever it stands.
    known = json.dumps({"key": secret_key, "service": service}).replace("<", "\\u003c")
    return template.replace("__NONCE__", secrets.token_urlsafe(16)).replace("__KNOWN__", known)
