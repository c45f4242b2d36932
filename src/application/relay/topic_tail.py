"""Follow a topic, without a consumer group."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from attrs import field, frozen


@frozen(kw_only=True)
class Record:
    """One message of the topic."""

    partition: int
    offset: int
    key: bytes | None = None
    headers: Mapping[str, str] = {}  # the last of each name, unless it has no value; invalid UTF-8 is replaced
    value: bytes | None = field(default=None, repr=False)
    timestamp: int = 0  # when it was written, ms: by the producer's clock or the broker's, as the topic is set
    rolled_back: bool = False  # its transaction was aborted: consumers with `read_committed` do not see it
    readable: bool = True  # False if it cannot be parsed (a header's name is not UTF-8): the rest is unknown


class TopicTail(Protocol):
    """All partitions, each in its order, without a consumer group: no offset is committed."""

    async def next(self) -> Record:
        """Wait for the next message, without a timeout; BrokerUnavailableError: the brokers refuse.

        A message that cannot be parsed is returned once, with `readable` false, and skipped.
        """

    async def length(self) -> int:
        """Return how many messages were written to the topic in total."""


class OpenTopicTail(Protocol):
    """Opens the topic's tail, and closes it at the end of the block."""

    def __call__(self, *, from_beginning: bool) -> AbstractAsyncContextManager[TopicTail]:
        """Start at the topic's beginning, or at its end: then the next message is one written after entering.

        Entering raises BrokerUnavailableError: the brokers are unreachable or refuse, or there is no such topic.
        """
