"""The protected applications of `path_apps`, and one that shows what a server makes of a request, by Host."""

import json
import os
from pathlib import Path
from typing import Any

from anomalyze_auth import PUBLIC, REQUIRED, PemKey, SessionVerifier
from sdktest.path_apps import PATH_APPS, protected, write_files
from sdktest.tokens import ISSUER, pem

RULES = {"/admin/*": REQUIRED, "/mnt/*": REQUIRED, "/static/private/*": REQUIRED}


async def _show(scope: Any, _: Any, send: Any) -> None:
    shown = {"path": scope["path"], "raw_path": scope["raw_path"].decode("latin-1"), "root_path": scope["root_path"]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(shown).encode()})


def wire_app(folder: Path) -> Any:
    write_files(folder)
    settings = {"verifier": SessionVerifier(PemKey(pem()), issuer=ISSUER), "cookies": False}
    apps = {name: protected(name, folder, **settings, rules=RULES, default=PUBLIC) for name in PATH_APPS}
    apps["shown"] = _show

    async def by_host(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            host = dict(scope["headers"])[b"host"].decode()
            await apps[host.removesuffix(".test")](scope, receive, send)

    return by_host


if "WIRE_FOLDER" in os.environ:
    app = wire_app(Path(os.environ["WIRE_FOLDER"]))
