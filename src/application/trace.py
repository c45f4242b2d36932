"""The W3C Trace Context of the request being served."""

from contextvars import ContextVar

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""A valid `traceparent` (version 00), or `None` when the caller sent none; events that the request causes carry it."""
