"""`auth-service openapi` and `asyncapi`: the contracts, for other programs to read."""

import json

from application.relay.topics import EVENTS, SESSIONS, STATE
from entrypoints.composition.documents import asyncapi_document
from entrypoints.http.openapi.routes import openapi_json


def openapi() -> None:
    """Print the OpenAPI 3.1 document of the HTTP API. Needs no configuration."""
    print(openapi_json().decode())


def asyncapi(
    *,
    topic: str = EVENTS.default_name,
    state_topic: str = STATE.default_name,
    session_topic: str = SESSIONS.default_name,
) -> None:
    """Print the AsyncAPI 3 document of the events. Needs no configuration.

    Args:
        topic: Where the events are, as in KAFKA_USER_EVENTS_TOPIC.
        state_topic: Where each user's newest version is, as in KAFKA_USER_STATE_TOPIC.
        session_topic: Where ended sessions are, as in KAFKA_SESSION_EVENTS_TOPIC.
    """
    print(json.dumps(asyncapi_document(topic, state_topic, session_topic), indent=2, ensure_ascii=False))
