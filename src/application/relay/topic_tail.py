"""A topic read as it grows, outside of any consumer group."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from attrs import field, frozen


@frozen(kw_only=True)
class Record:
    """One message as it stands in the topic."""

    partition: int
    offset: int
    key: bytes | None = None
    headers: Mapping[str, str] = {}  # the last of each name, unless it has no value; no UTF-8 is replaced
    value: bytes | None = field(default=None, repr=False)
    timestamp: int = 0  # when it was written, ms: by the producer's clock or the broker's, as the topic is set
    rolled_back: bool = False  # its transaction was: consumers that read what is committed do not see it
    readable: bool = True  # not when it cannot be taken apart (a header's name is not UTF-8): the rest is unknown


class TopicTail(Protocol):
    """All partitions, each in its order, in no consumer group: nothing is committed, no consumer misses a message."""

    async def next(self) -> Record:
        """Return the next message, however long it takes; BrokerUnavailableError: the brokers refuse to go on.

        A message that cannot be taken apart is returned once, as one that is not `readable`, and passed over.
        """

    async def length(self) -> int:
        """Return how many messages were ever written to the topic."""


class OpenTopicTail(Protocol):
    """Opens the topic's tail, and closes it at the end of the block."""

    def __call__(self, *, from_beginning: bool) -> AbstractAsyncContextManager[TopicTail]:
        """Stand at the topic's beginning, or at its end: what is written after entering is then what comes next.

        Entering raises BrokerUnavailableError: the brokers are out of reach or refuse, or there is no such topic.
        """
