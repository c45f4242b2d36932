"""A service that refuses revoked sessions, as another team would write it, in a process whose clock may be wrong.

As a script: settings as JSON in the first argument (port, kafka, sessions, users, pem, issuer, when_stale, clock_off).
`/` answers 200 to whoever is let in, `/state` tells everybody what is known.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import uvicorn

from anomalyze_auth import PUBLIC, AuthMiddleware, PemKey, SessionVerifier
from anomalyze_auth.revocations import Revocations

HOST = "127.0.0.1"


@contextmanager
def revoking_service(folder: Path, port: int, **settings: Any) -> "Iterator[subprocess.Popen[bytes]]":
    """Run it; it listens as soon as it knows all that matters, or gave up waiting for that."""
    with (folder / f"service-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, json.dumps({"port": port, **settings})],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)


def _app(settings: dict[str, Any]) -> Any:
    revocations = Revocations(
        settings["kafka"],
        session_topic=settings["sessions"],
        user_topic=settings["users"],
        when_stale=settings["when_stale"],
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for work, done in ((revocations.start, "startup"), (revocations.aclose, "shutdown")):
                await receive()
                await work()
                await send({"type": f"lifespan.{done}.complete"})
            return
        body = b"{}"
        if scope["path"] == "/state":
            state = attrs.asdict(revocations.state, recurse=False)
            body = json.dumps({name: state[name] for name in ("current", "stale_refused", "stale_allowed")}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    verifier = SessionVerifier(PemKey(settings["pem"]), issuer=settings["issuer"], revocations=revocations)
    return AuthMiddleware(app, verifier=verifier, rules={"/state": PUBLIC}, cookies=False)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    right = time.time
    time.time = lambda: right() + given["clock_off"]
    server = uvicorn.Server(
        uvicorn.Config(_app(given), host=HOST, port=given["port"], log_level="warning", lifespan="on")
    )
    asyncio.run(server.serve())
