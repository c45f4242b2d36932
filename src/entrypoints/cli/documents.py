"""`auth-service openapi` and `asyncapi`: the contracts, for other programs to read."""

import json

from entrypoints.container import Container
from entrypoints.http.schema import openapi_json


def openapi() -> None:
    """Print the OpenAPI 3.1 document of the HTTP API. Needs no configuration."""
    print(openapi_json().decode())


def asyncapi(*, topic: str = "auth.user.events.v1") -> None:
    """Print the AsyncAPI 3 document of the events. Needs no configuration.

    Parameters
    ----------
    topic
        Where the events are, as in KAFKA_USER_EVENTS_TOPIC.
    """
    print(json.dumps(Container.asyncapi_document()(topic), indent=2, ensure_ascii=False))
