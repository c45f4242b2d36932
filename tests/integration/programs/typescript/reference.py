"""What `service.mjs` is, behind the Python SDK's middleware: with the same settings, and a route for every path."""

import asyncio
import json
import socket
import sys
from typing import Any

import uvicorn

from anomalyze_auth import (
    Access,
    AuthMiddleware,
    PemKey,
    Requirement,
    SessionVerifier,
    identity_of,
    require,
)
from anomalyze_auth.revocations import Revocations

NAMES = {"inPerson": "in_person"}
DEMANDS = {"/report": Requirement(permission="org:billing:read"), "/caller": None}


def rule_of(given: Any) -> Access | Requirement:
    if isinstance(given, str):
        return Access(given)
    return Requirement(**{NAMES.get(name, name): value for name, value in given.items()})


def app_with(settings: dict[str, Any]) -> Any:
    revocations = Revocations(settings["kafka"], session_topic=settings["sessions"], user_topic=settings["users"])
    verifier = SessionVerifier(
        PemKey(settings["pem"]),
        issuer=settings["issuer"],
        authorized_parties=settings["parties"],
        revocations=revocations,
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            state = await revocations.start(timeout=60)
            assert state.current, state.last_error
            await send({"type": "lifespan.startup.complete"})
            return
        if scope["path"] in DEMANDS:
            require(scope, DEMANDS[scope["path"]])
        caller = identity_of(scope)
        organization = caller and caller.organization
        shown = {
            "user": caller and caller.user_id,
            "session": caller and caller.session_id,
            "actor": caller and caller.actor_id,
            "organization": organization and organization.id,
        }
        as_json = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": as_json})
        await send({"type": "http.response.body", "body": json.dumps(shown).encode()})

    rules = {path: rule_of(given) for path, given in settings["rules"].items()}
    return AuthMiddleware(app, verifier=verifier, rules=rules, cookie_suffix=settings["suffix"])


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app_with(json.loads(sys.argv[1])), log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    print(listener.getsockname()[1], flush=True)
    asyncio.run(server.serve([listener]))
