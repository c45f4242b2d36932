"""Consume user events: each version of each user once and in order, although Kafka delivers at least once."""

import copy
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from anomalyze_auth.events import Headers, UnknownEvent, UnusableEvent, UserEvent, decode

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord
    from faststream.kafka import KafkaMessage

_LOG = logging.getLogger(__name__)

Handle = Callable[[UserEvent], Awaitable[None]]


class LastSeen(Protocol):
    """Stores the last version of each user that was handled.

    If it is stored in the database that the handler writes to, in the same transaction, each version takes
    effect exactly once. If it is stored elsewhere, a crash between the two handles a version again.
    """

    async def version(self, user_id: str) -> int:
        """The last version handled of this user; 0 when none was."""

    async def remember(self, user_id: str, version: int) -> None:
        """Store that this version was handled. It is higher than the previous one."""


class InMemoryLastSeen:
    """Remembers the most recent users in the memory of this process; it is empty after a restart.

    Enough where handling a version again does no harm, for example to drop cache entries.
    """

    def __init__(self, *, most_users: int = 100_000) -> None:
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._most_users = most_users

    async def version(self, user_id: str) -> int:
        return self._versions.get(user_id, 0)

    async def remember(self, user_id: str, version: int) -> None:
        self._versions[user_id] = version
        self._versions.move_to_end(user_id)
        if len(self._versions) > self._most_users:
            self._versions.popitem(last=False)


class Outcome(Enum):
    """The result of delivering a message."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    UNUSABLE = "unusable"


class UserEvents:
    """Passes a handler each user event that is newer than the last one handled of that user.

    The handler must see the messages of one partition one after another, as aiokafka and FastStream
    (with one worker) deliver them.

    Args:
        last_seen: stores the versions.
        on_unusable: called for a message that is not an event, which is then skipped. Without it such a
            message raises `UnusableEvent`, and is delivered again after a restart.
    """

    def __init__(
        self,
        last_seen: LastSeen,
        *,
        on_unusable: Callable[[UnusableEvent], Awaitable[None]] | None = None,
    ) -> None:
        self._last_seen = last_seen
        self._on_unusable = on_unusable

    async def deliver(self, headers: Headers, value: bytes | None, handle: Handle) -> Outcome:
        """Decode one message and pass it to the handler, unless its version was handled before.

        Raises:
            UnusableEvent: the message is not an event and there is no `on_unusable`.
            Exception: whatever the handler raises; the event is then not remembered.
        """
        try:
            event = decode(headers, value)
        except UnusableEvent as unusable:
            if self._on_unusable is None:
                raise
            await self._on_unusable(unusable)
            return Outcome.UNUSABLE
        if isinstance(event, UnknownEvent):
            _LOG.info("skipped an event of the unknown type %.100r", event.type)
            return Outcome.UNKNOWN
        if event.version <= await self._last_seen.version(event.user_id):
            return Outcome.DUPLICATE
        await handle(event)
        await self._last_seen.remember(event.user_id, event.version)
        return Outcome.HANDLED

    def subscriber(self, handle: Handle) -> Callable[..., Awaitable[None]]:
        """Turn a handler into a FastStream subscriber: a decorator below `@broker.subscriber(…, parser=any_record)`."""
        from faststream.kafka.annotations import KafkaMessage  # noqa: PLC0415  (the extra `kafka`)

        async def consume(message: KafkaMessage) -> None:
            record = message.raw_message
            if isinstance(record, tuple):
                raise TypeError("user events are handled one by one: subscribe without batch=True")
            await self.deliver(record.headers, record.value, handle)

        consume.__name__ = getattr(handle, "__name__", consume.__name__)
        return consume


async def any_record(
    record: "ConsumerRecord[Any, Any]", parse: Callable[..., Awaitable["KafkaMessage"]]
) -> "KafkaMessage":
    """A parser for FastStream that accepts any record.

    FastStream's own parser fails at a header without a value or one that is not UTF-8, and at a value that does not
    match its content type: before the handler is called, and again at each attempt.
    """
    readable = copy.copy(record)
    readable.headers = tuple((name, value) for name, value in record.headers if value is not None and _is_text(value))
    message = await parse(readable)
    message.raw_message = record
    message.content_type = "application/octet-stream"  # so that only `deliver` decodes the value
    return message


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
