"""A Litestar service that refuses revoked sessions, banned and deleted users within milliseconds.

pip install 'anomalyze-auth[kafka]' litestar uvicorn
CLERK_ISSUER=… CLERK_AUTHORIZED_PARTIES=… KAFKA_BOOTSTRAP_SERVERS=localhost:9092 uvicorn litestar_service:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, get

from anomalyze_auth import PUBLIC, JwksKeys, SessionVerifier
from anomalyze_auth.kafka import KafkaConnection
from anomalyze_auth.litestar import AuthPlugin, CurrentUser
from anomalyze_auth.revocations import Revocations

ISSUER = os.environ["CLERK_ISSUER"]

revocations = Revocations(
    **KafkaConnection.from_environment().broker_options(),
    session_topic=os.environ.get("KAFKA_SESSION_EVENTS_TOPIC", "auth.session.events.v1"),
    user_topic=os.environ.get("KAFKA_USER_EVENTS_TOPIC", "auth.user.events.v1"),
)
keys = JwksKeys(f"{ISSUER}/.well-known/jwks.json")
verifier = SessionVerifier(
    keys,
    issuer=ISSUER,
    authorized_parties=os.environ["CLERK_AUTHORIZED_PARTIES"].split(","),
    revocations=revocations,
)


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    async with revocations:  # returns once everything published before is read
        yield
    await keys.aclose()


@get("/hello")
async def hello(current_user: CurrentUser) -> dict[str, str]:
    return {"user_id": current_user.user_id}


@get("/health")
async def health() -> dict[str, bool | int]:
    # Not part of liveness: a restarted process would wait for the same brokers.
    state = revocations.state
    return {"revocations_current": state.current, "sessions": state.sessions}


app = Litestar(
    [hello, health],
    lifespan=[lifespan],
    plugins=[AuthPlugin(verifier, rules={"/health": PUBLIC})],
)
