"""A FastAPI service that refuses revoked sessions, banned and deleted users within milliseconds.

pip install 'anomalyze-auth[kafka]' fastapi prometheus-client uvicorn
CLERK_ISSUER=… CLERK_AUTHORIZED_PARTIES=… KAFKA_BOOTSTRAP_SERVERS=localhost:9092 uvicorn fastapi_service:app
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from anomalyze_auth import PUBLIC, AuthMiddleware, JwksKeys, SessionVerifier
from anomalyze_auth.fastapi import CurrentUser
from anomalyze_auth.kafka import KafkaConnection
from anomalyze_auth.revocations import Revocations

ISSUER = os.environ["CLERK_ISSUER"]

revocations = Revocations(
    **KafkaConnection.from_environment().broker_options(),
    session_topic=os.environ.get("KAFKA_SESSION_EVENTS_TOPIC", "auth.session.events.v1"),
    user_topic=os.environ.get("KAFKA_USER_EVENTS_TOPIC", "auth.user.events.v1"),
    # "allow" keeps the service available while Kafka is unreachable: revoked tokens then pass until they expire.
    when_stale="refuse",
)
keys = JwksKeys(f"{ISSUER}/.well-known/jwks.json")
verifier = SessionVerifier(
    keys,
    issuer=ISSUER,
    authorized_parties=os.environ["CLERK_AUTHORIZED_PARTIES"].split(","),
    revocations=revocations,
)


class RevocationMetrics(Collector):
    """Metrics for Prometheus; choose your own names."""

    def collect(self) -> Iterator[Metric]:
        state = revocations.state
        yield GaugeMetricFamily("revocations_behind_seconds", "How far behind they may be.", state.behind_seconds)
        yield GaugeMetricFamily("revocations_current", "1: within the bound.", float(state.current))
        refused = CounterMetricFamily("revocations_refused", "Verifications refused.", labels=["reason"])
        for reason, count in state.refused.items():
            refused.add_metric([reason], count)
        yield refused
        stale = CounterMetricFamily("revocations_stale", "Verifications while not current.", labels=["answer"])
        stale.add_metric(["refused"], state.stale_refused)
        stale.add_metric(["allowed"], state.stale_allowed)
        yield stale


registry = CollectorRegistry()
registry.register(RevocationMetrics())


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with revocations:  # returns once everything published before is read
        yield
    await keys.aclose()


app = FastAPI(lifespan=lifespan)
app.add_middleware(AuthMiddleware, verifier=verifier, rules={"/health": PUBLIC, "/metrics": PUBLIC})


@app.get("/hello")
async def hello(user: CurrentUser) -> dict[str, str]:
    return {"user_id": user.user_id}


@app.get("/health")
async def health() -> dict[str, bool | int]:
    # Not part of liveness: a restarted process would wait for the same brokers.
    state = revocations.state
    return {"revocations_current": state.current, "sessions": state.sessions}


@app.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
