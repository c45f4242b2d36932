"""`auth-service asyncapi`."""

from adapters.kafka.asyncapi import document as asyncapi_document

__all__ = ("asyncapi_document",)
