"""`auth-service asyncapi`."""

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Object

from adapters.kafka.asyncapi import document


class DocumentsContainer(DeclarativeContainer):
    asyncapi_document = Object(document)
