"""Deliveries to an endpoint, and their outcomes."""

from attrs import field, frozen, validators

MOST = 10_000
MOST_BYTES = 64 * 1024 * 1024
"""What is kept of messages, of deliveries and of events: so many, of so many bytes. The oldest goes first."""

DROPPED = "dropped"
"""Outcome of a message that was never sent."""

FORGERS_SECRET = "whsec_" + "Zm9yZ2Vk" * 4
"""Of nobody: what is signed with it has to be refused."""

_share = [validators.ge(0.0), validators.le(1.0)]


@frozen(kw_only=True)
class Endpoint:
    """An endpoint; with several secrets each webhook is signed with all, as by Svix for a day after a rotation."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)


@frozen(kw_only=True)
class Disorder:
    """The shares of messages that are dropped, duplicated or reordered, drawn by `seed`."""

    drop_share: float = field(default=0.0, validator=_share)
    """Never sent."""
    duplicate_share: float = field(default=0.0, validator=_share)
    """Sent twice, under one `svix-id`."""
    reorder_share: float = field(default=0.0, validator=_share)
    """Sent up to `reorder_within_s` late, so that later ones overtake it."""
    reorder_within_s: float = field(default=0.5, validator=validators.ge(0))
    seed: int = 0


@frozen(kw_only=True)
class DeliveryAttempt:
    """An attempt to deliver a message, and what came of it."""

    svix_id: str
    event: str
    user_id: str
    url: str
    number: int
    """1, 2, 3 …; 0 of a message that was dropped."""
    outcome: int | str
    """The status, the name of the failure, or `DROPPED`."""
    body: bytes = field(repr=False)
    answer: bytes = field(default=b"", repr=False)
    """The body of the response."""
    at_ms: int
    """When it began, milliseconds since 1970."""
    took_ms: float = 0.0
    trace_id: str = ""
    """Of the `traceparent` that the request carried: the events that it causes carry it too."""
    forged: bool = False
    retry_in_s: float | None = None
    """When the message is sent again; `None`: not by itself."""

    @property
    def succeeded(self) -> bool:
        return isinstance(self.outcome, int) and 200 <= self.outcome < 300  # noqa: PLR2004


@frozen(kw_only=True)
class Message:
    """A message on its way to one endpoint."""

    svix_id: str
    event: str
    user_id: str
    body: bytes = field(repr=False)
    endpoint: Endpoint
    number: int = 1
    forged: bool = False
    """Signed with a secret that is not the endpoint's."""
    then: "Message | None" = None
    """What is sent when this one was answered."""
