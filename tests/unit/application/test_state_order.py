"""Relays that are frozen anywhere, lose lanes without knowing, and leave records on their way that land much later.

Their database may lose its last commits, and no call fails. Meanwhile two fills read all users, and put them later.
"""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import pytest
from attrs import define, field

from adapters.kafka.cloudevents import encode
from application.relay.lanes import lane_of
from application.relay.messages import OutboxMessage, Pending
from application.relay.relay_state import RelayEventsAndState
from application.relay.state_topic import fill_lane
from domain.events import UserDeleted
from domain.user import Tombstone, UserId
from support.memory import MemoryPublisher
from support.state_memory import MemoryStateLanes, MemoryStatePublisher, MemoryStateTopic

USERS = ["user_a", "user_b"]
LANES_USED = sorted({lane_of(user) for user in USERS})
RELAYS = ["x", "y", "z"]
FILLS = ["first", "second"]
LIMIT = 2


@define(eq=False)
class Frozen:
    """A relay that moves only when it is told to: it stops at every await of its ports."""

    name: str
    run_round: RelayEventsAndState = field(init=False)
    state: MemoryStatePublisher = field(init=False)
    events: MemoryPublisher = field(init=False)
    lanes: list[int] = field(factory=list)
    """What it believes to hold."""
    waiting: "deque[asyncio.Future[None]]" = field(factory=deque)
    task: "asyncio.Task[object] | None" = None

    async def pause(self) -> None:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        await gate

    async def step(self) -> None:
        """Let it go on to its next stop; begin a round when it has none."""
        if self.task is None or self.task.done():
            if self.task:
                self.task.result()
            self.task = asyncio.ensure_future(self.run_round(self.lanes, LIMIT))
        elif self.waiting:
            self.waiting.popleft().set_result(None)
        for _ in range(4):  # with 3, each story ends as with more
            await asyncio.sleep(0)


@define
class SharedOutbox:
    """`Outbox` of one relay on the table that all look at."""

    rows: list[Pending]
    newest: dict[str, int]
    pause: Callable[[], Awaitable[None]]

    async def oldest(self, lanes, limit, *, published=()):
        if published:
            await self.delete(published)
        await self.pause()
        return [row for row in self.rows if row.lane in lanes][:limit]

    async def delete(self, published):
        await self.pause()
        gone = {item.id for item in published}
        self.rows[:] = [row for row in self.rows if row.id not in gone]

    async def delete_overtaken(self, published):
        await self.pause()
        gone = {item.id for item in published if self.newest.get(item.message.key) != item.message.version}
        self.rows[:] = [row for row in self.rows if row.id not in gone]


@define
class Watched(MemoryStatePublisher):
    """Sees that a version is written with the content that the database has under it, or has gone on from."""

    newest: dict[str, OutboxMessage] = field(factory=dict)

    async def publish(self, writer, batch):
        for item in batch:
            now = self.newest[item.message.key]
            assert item.message.payload == now.payload or item.message.version < now.version
        return await super().publish(writer, batch)


@define
class Commits:
    """What the database has."""

    rows: list[Pending] = field(factory=list)
    newest: dict[str, int] = field(factory=dict)
    contents: dict[str, OutboxMessage] = field(factory=dict)
    owners: dict[int, str] = field(factory=dict)
    by_lane: dict[int, str] = field(factory=dict)

    def copy(self) -> "Commits":
        return Commits([*self.rows], {**self.newest}, {**self.contents}, {**self.owners}, {**self.by_lane})

    def become(self, other: "Commits") -> None:
        self.rows[:] = other.rows
        for mine, its in (
            (self.newest, other.newest), (self.contents, other.contents),
            (self.owners, other.owners), (self.by_lane, other.by_lane),
        ):  # fmt: skip
            mine.clear()
            mine.update(its)  # type: ignore[arg-type]


class World:
    def __init__(self) -> None:
        self.topic = MemoryStateTopic()
        self.primary, self.standby = Commits(), Commits()
        self.ids = itertools.count(1)
        self.read: dict[str, list[OutboxMessage]] = {}
        """What each fill has read, in a transaction that is not at its end."""
        self.relays = {name: self.relay(name) for name in RELAYS}

    def relay(self, name: str) -> Frozen:
        made = Frozen(name)
        primary = self.primary
        state = Watched(self.topic, pause=made.pause, newest=primary.contents)
        lanes = MemoryStateLanes(primary.newest, primary.owners, primary.by_lane, pause=made.pause)
        outbox = SharedOutbox(primary.rows, primary.newest, made.pause)
        made.state, made.events = state, MemoryPublisher()
        # Nothing is refused here, so `move_to_dead_letters` is never called.
        made.run_round = RelayEventsAndState(name, outbox, made.events, state, lanes)  # type: ignore[arg-type]
        return made

    def write(self, user: str) -> None:
        self.primary.newest[user] = version = self.primary.newest.get(user, 0) + 1
        number = next(self.ids)  # a version that is lost and stored again has another content
        message = encode(UserDeleted(Tombstone(id=UserId(user), version=version, deleted_at=number)))
        self.primary.contents[user] = message
        self.primary.rows.append(Pending(id=number, lane=lane_of(user), stored_at=0, message=message))

    def fill(self, name: str) -> None:
        """Let this fill read all users, or put those that it read."""
        if name not in self.read:
            self.read[name] = [*self.primary.contents.values()]
            return
        for message in self.read.pop(name):
            if not any(row.message.event_id == message.event_id for row in self.primary.rows):
                lane = fill_lane(lane_of(message.key))
                self.primary.rows.append(Pending(id=next(self.ids), lane=lane, stored_at=0, message=message))

    def take(self, name: str) -> None:
        """Let this relay take all lanes, whoever holds them and whatever the others believe."""
        self.primary.owners.update(dict.fromkeys(LANES_USED, name))
        self.relays[name].lanes = list(LANES_USED)

    def fail(self, name: str) -> None:
        """Let one of the next records of this relay go unanswered; it may land later."""
        if rows := self.primary.rows:
            self.relays[name].state.fate[rows[len(self.topic.log) % len(rows)].id] = "cut"

    async def lose_commits(self) -> None:
        """Let all rounds end, then promote the standby, unless one of the topics has a version that it lacks.

        The two that it does not stand for have no remedy: a version that consumers have seen is given to other
        content, and a request that is on its way under a claim that was lost cannot be fenced.
        """
        for relay in self.relays.values():
            while relay.waiting:
                await relay.step()
        self.land_all()
        events = [item.message for relay in self.relays.values() for item in relay.events.delivered]
        published = [*((event.key, event.version) for event in events), *self.topic.log]
        if all(version <= self.standby.newest.get(user, 0) for user, version in published):
            self.primary.become(self.standby)
            self.read.clear()  # the server that is gone has rolled them back

    def land_all(self) -> None:
        while self.topic.on_its_way:
            self.topic.land(0)

    async def run(self, name: str, steps: int = 12) -> None:
        for _ in range(steps):
            await self.relays[name].step()

    async def act(self, action: str, who: str) -> None:
        match action:
            case "write":
                self.write(who)
            case "step":
                await self.run(who, 1)
            case "run":
                await self.run(who)
            case "take":
                self.take(who)
            case "fail":
                self.fail(who)
            case "fill":
                self.fill(who)
            case "land" if self.topic.on_its_way:
                self.topic.land(len(self.topic.log) % len(self.topic.on_its_way))
            case "replicate":
                self.standby = self.primary.copy()
            case "lose":
                await self.lose_commits()


SEEDS = 1000
"""With any one of the protocol's rules taken away, between 2 and 8 in 100 seeds end wrong; without the second look at
the claims, 4 in 1,000 of those with failovers; if a fill went on after one, 9."""


ACTIONS = ["write", "step", "step", "step", "run", "take", "fail", "land", "fill"]
WHO = {"write": USERS, "fill": FILLS}
FAILOVERS = ["replicate", "lose"]


def story(seed: int, actions: Sequence[str]) -> list[tuple[str, str]]:
    dice = random.Random(seed)
    chosen = dice.choices(actions, k=dice.randint(5, 80))
    return [(action, dice.choice(WHO.get(action, RELAYS))) for action in chosen]


@pytest.mark.parametrize("actions", [ACTIONS, ACTIONS + FAILOVERS], ids=["one database", "failovers"])
async def test_no_version_ever_comes_after_a_newer_one_and_the_last_is_the_newest(actions):
    for seed in range(SEEDS):
        topic, newest, left = await play(story(seed, actions))
        last: dict[str, int] = {}
        for user, version in topic.log:
            assert version >= last.get(user, 0), (seed, topic.log)
            last[user] = version

        assert left == [], seed
        assert last == newest, seed


async def play(steps) -> tuple[MemoryStateTopic, dict[str, int], list[Pending]]:
    world = World()
    world.take("x")
    for action, who in steps:
        await world.act(action, who)
    # In the end all of them wake up, one after the other, and what was on its way lands.
    for name in RELAYS:
        await world.run(name, 30)
    world.land_all()
    for _ in range(60):
        if not world.primary.rows:
            break
        world.take("z")
        await world.run("z", 20)
    for relay in world.relays.values():
        if relay.task:
            relay.task.cancel()
    world.land_all()
    return world.topic, world.primary.newest, world.primary.rows
