"""Relays that are frozen anywhere, lose lanes without knowing, and leave records on their way that land much later."""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable

from attrs import define, field

from adapters.kafka.cloudevents import encode
from application.relay.lanes import lane_of
from application.relay.messages import Pending
from application.relay.relay_state import RelayEventsAndState
from domain.events import UserDeleted
from domain.user import Tombstone, UserId
from support.memory import MemoryPublisher
from support.state_memory import MemoryStateLanes, MemoryStatePublisher, MemoryStateTopic

USERS = ["user_a", "user_b"]
LANES_USED = sorted({lane_of(user) for user in USERS})
RELAYS = ["x", "y", "z"]
LIMIT = 2


@define(eq=False)
class Frozen:
    """A relay that moves only when it is told to: it stops at every await of its ports."""

    name: str
    run_round: RelayEventsAndState = field(init=False)
    state: MemoryStatePublisher = field(init=False)
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
        for _ in range(10):
            await asyncio.sleep(0)


@define
class SharedOutbox:
    """`Outbox` of one relay on the table that all look at."""

    rows: list[Pending]
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


class World:
    def __init__(self) -> None:
        self.rows: list[Pending] = []
        self.topic = MemoryStateTopic()
        self.newest: dict[str, int] = {}
        self.owners: dict[int, str] = {}
        self.by_lane: dict[int, str] = {}
        self.ids = itertools.count(1)
        self.relays = {name: self.relay(name) for name in RELAYS}

    def relay(self, name: str) -> Frozen:
        made = Frozen(name)
        state = MemoryStatePublisher(self.topic, pause=made.pause)
        lanes = MemoryStateLanes(self.newest, self.owners, self.by_lane, pause=made.pause)
        outbox = SharedOutbox(self.rows, made.pause)
        made.state = state
        # Nothing is refused here, so `bury` is never called.
        made.run_round = RelayEventsAndState(name, outbox, MemoryPublisher(), state, lanes)  # type: ignore[arg-type]
        return made

    def write(self, user: str) -> None:
        self.newest[user] = version = self.newest.get(user, 0) + 1
        tombstone = Tombstone(id=UserId(user), version=version, deleted_at=0)
        message = encode(UserDeleted(tombstone))
        self.rows.append(Pending(id=next(self.ids), lane=lane_of(user), stored_at=0, message=message))

    def take(self, name: str) -> None:
        """Let this relay take all lanes, whoever holds them and whatever the others believe."""
        self.owners.update(dict.fromkeys(LANES_USED, name))
        self.relays[name].lanes = list(LANES_USED)

    def fail(self, name: str) -> None:
        """Let one of the next records of this relay go unanswered; it may land later."""
        if self.rows:
            self.relays[name].state.fate[self.rows[len(self.topic.log) % len(self.rows)].id] = "cut"

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
            case "land" if self.topic.on_its_way:
                self.topic.land(len(self.topic.log) % len(self.topic.on_its_way))


SEEDS = 1000
"""With any one of the protocol's rules taken away, between 2 and 8 in 100 seeds end wrong."""


def story(seed: int) -> list[tuple[str, str]]:
    dice = random.Random(seed)
    actions = ["write", "step", "step", "step", "run", "take", "fail", "land"]
    chosen = dice.choices(actions, k=dice.randint(5, 80))
    return [(action, dice.choice(USERS if action == "write" else RELAYS)) for action in chosen]


async def test_no_version_ever_comes_after_a_newer_one_and_the_last_is_the_newest():
    for seed in range(SEEDS):
        topic, newest, left = await play(story(seed))
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
        if not world.rows:
            break
        world.take("z")
        await world.run("z", 20)
    for relay in world.relays.values():
        if relay.task:
            relay.task.cancel()
    world.land_all()
    return world.topic, world.newest, world.rows
