"""Read a request body within bounds of size, time and memory, and discard a body that no handler reads."""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping

from attrs import define, field, frozen
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from application.deadlines import Deadlines
from entrypoints.http.problems import BODY_SHED, BODY_TOO_LARGE, BODY_TOO_SLOW, CLIENT_DISCONNECTED, HttpError

BODY_LIMIT_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 15.0

BUDGET_BYTES = 64 * 1024 * 1024
"""Of all unfinished bodies of a process: an eighth of the 512 MiB that a container is given."""

BYTES_OF_A_REQUEST = 32 * 1024
"""What an unfinished body counts as, beside its bytes: the request that waits for it, and the server's buffer."""

_DIGITS_AT_MOST = 18

SMALL_PIECES = 256
PIECE_BYTES = 128
"""A body comes in at most `SMALL_PIECES` pieces, and one more for each `PIECE_BYTES` of it.

A piece costs some 40 µs, whatever it holds: a chunked body of single bytes is a second of a worker for 150 KB sent.
Networks and proxies hand over hundreds of bytes at a time.
"""

ARRIVED_S = 0.05
"""How long an answer waits for a body that is not read: one that came with its head keeps the connection usable."""

SMALL_BYTES = 64 * 1024
"""Every body is read so far at once; Clerk's are a tenth of this, so no delivery waits for large uploads."""

LARGE_AT_ONCE = 32
"""Bodies that are read beyond that at a time; the others wait in their own sockets, which costs nothing."""

LARGE_TURN_S = 1.0
"""How long one of them is left alone when others wait: a genuine one needs some milliseconds."""

DISCARDS_AT_ONCE = 8

DISCARD_LIMIT_BYTES = 16 * 1024 * 1024
DISCARD_TIMEOUT_S = 2.0
SILENCE_S = 0.5
"""A client that sends nothing for so long after its answer is not in the middle of sending."""


@define(eq=False)
class _Body:
    received: bytearray = field(factory=bytearray)
    patience: asyncio.Timeout | None = None
    shed: bool = False
    large_since: float | None = None

    def give_up(self) -> None:
        """End the wait for what is missing of it."""
        if self.patience and not self.patience.expired():
            self.patience.reschedule(_now())


@define
class Budget:
    """The memory of all unfinished bodies; where it ends, the one that began first is given up.

    A genuine body is complete within milliseconds, so those that began first are those that do not end.
    """

    limit_bytes: int
    deadlines: Deadlines = field(factory=Deadlines, init=False)
    _held: int = field(default=0, init=False)
    _bodies: dict[_Body, int] = field(factory=dict, init=False)
    """What each counts as, the oldest first."""
    _large: dict[_Body, None] = field(factory=dict, init=False)
    _turns: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE), init=False)

    def begin(self) -> _Body:
        """Count a body until `end`."""
        body = _Body()
        self._take(body, BYTES_OF_A_REQUEST)
        return body

    def end(self, body: _Body) -> None:
        self._held -= self._bodies.pop(body, 0)
        if body in self._large:
            del self._large[body]
            self._turns.release()

    def keep(self, body: _Body, chunk: bytes) -> None:
        """Add what has arrived, or raise HttpError(BODY_SHED): this is the one to give up."""
        if not body.shed:
            self._take(body, len(chunk))
        if body.shed:
            raise HttpError(BODY_SHED)
        body.received += chunk

    async def turn(self, body: _Body) -> None:
        """Wait until it may be read beyond `SMALL_BYTES`: one that had its turn for long is given up for it."""
        if body.large_since is not None:
            return
        while True:
            try:
                async with asyncio.timeout(LARGE_TURN_S):
                    await self._turns.acquire()
                break
            except TimeoutError:
                oldest = next(iter(self._large), None)
                if oldest and oldest.large_since and _now() - oldest.large_since >= LARGE_TURN_S:
                    self._shed(oldest)
        body.large_since = _now()
        self._large[body] = None

    def _take(self, body: _Body, size: int) -> None:
        self._bodies[body] = self._bodies.get(body, 0) + size
        self._held += size
        while self._held > self.limit_bytes:
            self._shed(next(iter(self._bodies)))

    def _shed(self, body: _Body) -> None:
        self.end(body)
        body.shed = True
        body.received.clear()
        body.give_up()


def _now() -> float:
    return asyncio.get_running_loop().time()


BUDGET = Budget(BUDGET_BYTES)


async def read_body(
    scope: Scope,
    receive: Receive,
    *,
    limit: int = BODY_LIMIT_BYTES,
    seconds: float = BODY_TIMEOUT_S,
    budget: Budget = BUDGET,
) -> bytes:
    """Return the whole body, byte for byte as received; `limit` is in bytes.

    Raises HttpError:
        BODY_TOO_LARGE: it is announced longer than the limit, or turns out to be; no more than that was kept.
        BODY_TOO_SLOW: it was not complete in time, however steadily it trickles in, or comes in too many pieces.
        BODY_SHED: the budget is spent, and this body began first.
        CLIENT_DISCONNECTED: the client left.
    """
    refuse_announced(scope, limit)
    announced = announced_bytes(scope)
    pieces = 0
    body = budget.begin()
    try:
        async with asyncio.timeout(None) as body.patience:
            budget.deadlines.add(body.give_up, seconds)
            while True:
                message = await receive()
                pieces += 1
                if message["type"] != "http.request":
                    raise HttpError(CLIENT_DISCONNECTED)
                budget.keep(body, message.get("body", b""))
                if len(body.received) > limit:
                    raise HttpError(BODY_TOO_LARGE)
                # Granian reports the end by another message, which costs as much as the first.
                if not message.get("more_body", False) or len(body.received) == announced:
                    return bytes(body.received)
                if _too_many(pieces, len(body.received)):
                    raise HttpError(BODY_TOO_SLOW)
                if len(body.received) > SMALL_BYTES:
                    await budget.turn(body)
    except TimeoutError:
        raise HttpError(BODY_SHED if body.shed else BODY_TOO_SLOW) from None
    finally:
        budget.deadlines.remove(body.give_up)
        budget.end(body)


def _too_many(pieces: int, size: int) -> bool:
    return pieces > SMALL_PIECES + size // PIECE_BYTES


@frozen
class AnswerFirst:
    """Around the application: answer a request whose body is not read at once, then read and discard the body.

    A server that closes on a client that still sends makes it lose the answer (RST); one that waits for the body first
    waits in vain for a proxy that announces a body and keeps it.
    """

    app: ASGIApp
    _discards: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(DISCARDS_AT_ONCE), init=False)
    """More at a time would be an attack, and are cut off."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != ScopeType.HTTP or not _announces_body(head := dict(scope["headers"])):
            return self.app(scope, receive, send)
        return self._answer(scope, receive, send, head)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send, head: Mapping[bytes, bytes]) -> None:
        body = _Unread(receive, announced_bytes(scope))
        sends = not _expects_continue(head)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and body.unread and not _closes(message):
                if sends:
                    await body.discard(ARRIVED_S)
                if body.unread:  # what is left of the body would be taken for the next request
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self.app(scope, body.read, answer)  # type: ignore[arg-type]
        if sends and body.unread and not self._discards.locked():
            async with self._discards:
                await body.discard(DISCARD_TIMEOUT_S)


@define
class _Unread:
    """What the application has not read of a body; `left` counts the bytes, if it is known how many there will be."""

    receive: Receive
    left: int | None
    unread: bool = True

    async def read(self) -> Message:
        message = await self.receive()
        if self.left is not None:
            self.left -= len(message.get("body", b""))  # type: ignore[arg-type]
        self.unread = message["type"] == "http.request" and message.get("more_body", False) and self.left != 0
        return message  # type: ignore[return-value]

    async def discard(self, seconds: float) -> None:
        pieces = size = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.unread and size < DISCARD_LIMIT_BYTES and not _too_many(pieces, size):
                    async with asyncio.timeout(SILENCE_S):
                        message = await self.read()
                    pieces += 1
                    size += len(message.get("body", b""))  # type: ignore[arg-type]


def _closes(message: Message) -> bool:
    return any(name == b"connection" for name, _ in message["headers"])  # type: ignore[typeddict-item]


def _announces_body(head: Mapping[bytes, bytes]) -> bool:
    return b"transfer-encoding" in head or head.get(b"content-length", b"0").strip() != b"0"


def announced_bytes(scope: Scope) -> int | None:
    """Return how long the body will be; None when it is chunked, or its length is ambiguous."""
    sizes = [value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")]
    return int(sizes[0]) if len(sizes) == 1 and sizes[0].isdigit() and len(sizes[0]) <= _DIGITS_AT_MOST else None


def refuse_announced(scope: Scope, limit: int = BODY_LIMIT_BYTES) -> None:
    """Raise HttpError(BODY_TOO_LARGE), before anything is read, if the body is announced longer than the limit."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and (len(value) > len(str(limit)) or int(value) > limit):
            raise HttpError(BODY_TOO_LARGE)


def _expects_continue(head: Mapping[bytes, bytes]) -> bool:
    """Whether the client sends nothing before we ask for it (RFC 9110, section 10.1.1)."""
    return head.get(b"expect", b"").lower() == b"100-continue"
