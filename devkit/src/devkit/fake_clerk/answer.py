"""An answer of the stand-in, and how much of it reaches the client."""

from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from attrs import field, frozen


@frozen(kw_only=True)
class FakeResponse:
    """What goes over the wire; everything below `body` is for the server to carry out."""

    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = field(default=b"", repr=False)
    delay_s: float = 0.0
    """Before anything is sent."""
    body_over_s: float = 0.0
    """How long the body takes."""
    cut_after: int | None = None
    """So many bytes of the body are sent, and the connection ends; 0 with `reset`: nothing is sent at all."""
    reset: bool = False
    """The connection ends by RST instead of FIN."""
    padding: int = 0
    """So many blanks go before the body."""
    stream: AsyncGenerator[bytes] | None = None
    """Sent instead of the body, as it comes, until it ends or the client is gone."""

    @classmethod
    def of(
        cls, document: Any, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
    ) -> "FakeResponse":
        """Return an answer in JSON."""
        own = {"content-type": "application/json", **(headers or {})}
        return cls(status=status, headers=own, body=msgspec.json.encode(document))
