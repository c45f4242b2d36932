"""The state topic's ports in memory, for tests of what stands on them; the contract suites hold these and the real."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Sequence

from attrs import define, field

from application.errors import BrokerUnavailableError
from application.failure import KAFKA, Cause, Failure
from application.relay.messages import DeliveryResults, Pending, RefusedMessage
from application.relay.state_topic import FencedError, held_lane


@define
class MemoryStateTopic:
    """A broker: the log, and who is barred from it."""

    log: list[tuple[str, int]] = field(factory=list)
    """User and version."""
    barred: set[str] = field(factory=set)
    on_its_way: list[tuple[str, str, int]] = field(factory=list)
    """Writer, user and version of what lands later, unless its writer is barred by then."""
    asked: int = 0
    """How many batches were sent, empty ones too."""
    _names: "itertools.count[int]" = field(factory=itertools.count)

    def new_writer(self) -> str:
        return f"writer-{next(self._names)}"

    def land(self, number: int) -> None:
        writer, user, version = self.on_its_way.pop(number)
        if writer not in self.barred:
            self.log.append((user, version))


async def at_once() -> None:
    await asyncio.sleep(0)


@define
class MemoryStatePublisher:
    """`StatePublisher` on a `MemoryStateTopic`; it does what its `fate` says."""

    topic: MemoryStateTopic = field(factory=MemoryStateTopic)
    fate: dict[int, str] = field(factory=dict)
    """Pending id → `refused`, or the reason of an outage; what an outage left on its way may land later."""
    outage: str | None = None
    """Kafka is out of reach altogether."""
    pause: Callable[[], Awaitable[None]] = at_once
    fenced: list[str] = field(factory=list)
    _writer: str | None = None

    async def writer(self) -> str:
        await self.pause()
        if self.outage:
            raise BrokerUnavailableError(self.outage)
        if self._writer is None:
            self._writer = self.topic.new_writer()
        return self._writer

    async def fence(self, writers: Collection[str]) -> None:
        await self.pause()
        self.fenced += sorted(writers)
        self.topic.barred |= set(writers)

    async def publish(self, writer: str, batch: Sequence[Pending]) -> DeliveryResults:
        self.topic.asked += 1
        if writer != self._writer:
            raise FencedError
        refused = [RefusedMessage(item, "state: too large", 2) for item in batch if self.fate.get(item.id) == "refused"]
        left = [item for item in batch if self.fate.get(item.id) != "refused"]
        for item in left:
            self.topic.on_its_way.append((writer, item.message.key, item.message.version))
        for item in left:
            await self.pause()
            if reason := self.fate.pop(item.id, None):
                self._writer = None
                return DeliveryResults(outage=Failure(KAFKA, Cause.OTHER, reason))
            if writer in self.topic.barred:
                self._writer = None
                raise FencedError
            mine = (writer, item.message.key, item.message.version)
            if mine in self.topic.on_its_way:
                self.topic.land(self.topic.on_its_way.index(mine))
        await self.pause()
        if writer in self.topic.barred:
            self._writer = None
            raise FencedError
        return DeliveryResults(left, refused)


@define
class MemoryStateLanes:
    """`StateLanes` on dictionaries."""

    newest_versions: dict[str, int]
    owners: dict[int, str] = field(factory=dict)
    """Who holds each lane; a lane that is missing belongs to whoever asks."""
    by_lane: dict[int, str] = field(factory=dict)
    pause: Callable[[], Awaitable[None]] = at_once

    async def writers(self, lanes: Collection[int], *, but: str) -> frozenset[str]:
        await self.pause()
        return frozenset(self.by_lane[lane] for lane in lanes if lane in self.by_lane) - {but}

    async def claim(self, relay: str, lanes: Collection[int], writer: str, fenced: Collection[str]) -> frozenset[int]:
        await self.pause()
        granted = [
            lane
            for lane in lanes
            if self.owners.get(lane, relay) == relay and self.by_lane.get(lane, writer) in {writer, *fenced}
        ]
        self.by_lane.update(dict.fromkeys(granted, writer))
        return frozenset(granted)

    async def newest(self, batch: Sequence[Pending], writer: str) -> frozenset[int]:
        await self.pause()
        if any(self.by_lane.get(held_lane(item)) != writer for item in batch):
            raise FencedError
        newest = self.newest_versions
        return frozenset(item.id for item in batch if newest.get(item.message.key) == item.message.version)
