"""Deliveries, rows and events, in bounded memory; the oldest is dropped first."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from attrs import define, evolve, field, frozen

from devkit.console.composition import news_of
from devkit.console.why import Current, News, Result, current_after, outcome_of
from devkit.fake_clerk.deliveries import MOST, MOST_BYTES, DeliveryAttempt
from domain.snapshot import Snapshot
from domain.user import Known, User


@define(kw_only=True, eq=False)
class Delivery:
    """An attempt to deliver a webhook, and its outcome."""

    number: int
    """1, 2, 3 …, in the order of the answers."""
    attempt: DeliveryAttempt = field(repr=False)
    """Without its body."""
    news: News = field(repr=False)
    result: Result
    current: Current
    """The row that the webhook met; `None` as long as that is not known."""
    words: str = field(repr=False)
    """All that it can be found by, in lower case."""
    size: int
    """Bytes of the webhook and its answer."""


@frozen(kw_only=True)
class Event:
    """An event of ours, wherever it is on its way to the consumers."""

    id: str
    type: str
    user_id: str
    version: int
    time: str
    """When it changed at Clerk, RFC 3339."""
    data: Mapping[str, Any] = field(repr=False)
    trace_id: str
    state: Literal["published", "waiting", "dead"]
    partition: int | None = None
    offset: int | None = None
    error: str | None = None
    """Why Kafka refused it."""
    size: int = 0
    """Bytes of its value in Kafka."""

    @property
    def of_session(self) -> bool:
        return ".session." in self.type


@define(eq=False)
class Records:
    """Filled by the sender of webhooks and by `Watch`; read by the views.

    `dirty` holds the users whose rows have to be read, `changed` is set and replaced at each change.
    """

    deliveries: dict[int, Delivery] = field(factory=dict)
    of_user: dict[str, deque[Delivery]] = field(factory=lambda: defaultdict(deque))
    of_trace: dict[str, Delivery] = field(factory=dict)
    events: dict[str, Event] = field(factory=dict)
    events_of_user: dict[str, deque[Event]] = field(factory=lambda: defaultdict(deque))
    event_of_trace: dict[str, Event] = field(factory=dict)
    unpublished: dict[str, list[Event]] = field(factory=dict)
    """Of users: what waits in the outbox or is dead."""
    rows: dict[str, Known] = field(factory=dict)
    positions: dict[str, dict[int, int]] = field(factory=dict)
    """Of consumer groups: by partition, the offset of the event that they read next."""
    problems: dict[str, str] = field(factory=dict)
    """What cannot be watched at the moment (PostgreSQL, Kafka), and why."""
    dirty: set[str] = field(factory=set)
    changed: asyncio.Event = field(factory=asyncio.Event)
    watchers: int = 0
    """Pages that are open."""
    _last: int = 0
    _bytes: int = 0
    """Of all deliveries."""
    _event_bytes: int = 0
    _current: dict[str, Current] = field(factory=dict)
    """What the rows hold, as far as the answers tell: known before the row can be read."""

    def add_attempt(self, attempt: DeliveryAttempt) -> None:
        """Record an attempt and its answer."""
        news = news_of(attempt.svix_id, attempt.body)
        result = outcome_of(attempt)
        user_id = attempt.user_id
        current = self._current.get(user_id)
        self._current[user_id] = current_after(current, news, result.outcome)
        self._last += 1
        delivery = Delivery(
            number=self._last,
            attempt=evolve(attempt, body=b""),
            news=news,
            result=result,
            current=current,
            words=_words(attempt, news),
            size=len(attempt.body) + len(attempt.answer),
        )
        self.deliveries[delivery.number] = delivery
        self._bytes += delivery.size
        self.of_user[user_id].append(delivery)
        if attempt.trace_id:
            self.of_trace[attempt.trace_id] = delivery
        while len(self.deliveries) > MOST or self._bytes > MOST_BYTES:
            self._forget_delivery()
        self.dirty.add(user_id)
        self.touch()

    def add_event(self, event: Event) -> None:
        """Take note of an event that stands in a topic."""
        if event.id in self.events:
            return  # read again after the connection was lost
        self.events[event.id] = event
        self._event_bytes += event.size
        self.events_of_user[event.user_id].append(event)
        if event.trace_id:
            self.event_of_trace[event.trace_id] = event
        while len(self.events) > MOST or self._event_bytes > MOST_BYTES:
            oldest = self.events.pop(next(iter(self.events)))
            self._event_bytes -= oldest.size
            self.event_of_trace.pop(oldest.trace_id, None)
            _pop(self.events_of_user, oldest.user_id)
            self._forget_user(oldest.user_id)
        self.dirty.add(event.user_id)
        self.touch()

    def add_row(self, user_id: str, known: Known, unpublished: list[Event]) -> None:
        """Take note of a row as it is now, and of its events that are not in Kafka."""
        current = known.source if isinstance(known, User) else known
        for delivery in self.of_user.get(user_id, ()):
            if delivery.current is None and current is not None:
                delivery.current = current
        self._current[user_id] = current
        before = (self.rows.get(user_id), self.unpublished.get(user_id))
        self.rows[user_id] = known
        if unpublished:
            self.unpublished[user_id] = unpublished
        else:
            self.unpublished.pop(user_id, None)
        if before != (known, unpublished or None):
            self.touch()

    def set_problem(self, what: str, why: str | None) -> None:
        if self.problems.get(what) != why:
            if why is None:
                del self.problems[what]
            else:
                self.problems[what] = why
            self.touch()

    def set_positions(self, positions: dict[str, dict[int, int]]) -> None:
        if positions != self.positions:
            self.positions = positions
            self.touch()

    def touch(self) -> None:
        """Wake whoever shows this."""
        self.changed.set()
        self.changed = asyncio.Event()

    def event_caused_by(self, delivery: Delivery) -> Event | None:
        trace_id = delivery.attempt.trace_id
        waiting = self.unpublished.get(delivery.attempt.user_id, ())
        return self.event_of_trace.get(trace_id) or next((one for one in waiting if one.trace_id == trace_id), None)

    def found(self, query: str, outcomes: frozenset[str]) -> Iterator[Delivery]:
        """Yield deliveries, newest first, whose ids, addresses or events hold the text."""
        text = query.strip().lower()
        traces = {event.trace_id for event in self.events_by_id(text) if event.trace_id}
        for delivery in reversed(self.deliveries.values()):
            if outcomes and delivery.result.outcome not in outcomes:
                continue
            if not text or text in delivery.words or delivery.attempt.trace_id in traces:
                yield delivery

    def events_by_id(self, text: str) -> list[Event]:
        """Return the events whose id or trace has the text in it; it is too short to tell ids apart below 6."""
        if len(text) < 6:  # noqa: PLR2004
            return []
        waiting = [event for events in self.unpublished.values() for event in events]
        return [event for event in (*self.events.values(), *waiting) if text in event.id or text in event.trace_id]

    def _forget_delivery(self) -> None:
        oldest = self.deliveries.pop(next(iter(self.deliveries)))
        self._bytes -= oldest.size
        self.of_trace.pop(oldest.attempt.trace_id, None)
        _pop(self.of_user, oldest.attempt.user_id)
        self._forget_user(oldest.attempt.user_id)

    def _forget_user(self, user_id: str) -> None:
        if user_id not in self.of_user and user_id not in self.events_of_user:
            for of_users in (self.rows, self.unpublished, self._current):
                of_users.pop(user_id, None)


def _pop(of_users: dict[str, deque[Any]], user_id: str) -> None:
    of_users[user_id].popleft()
    if not of_users[user_id]:
        del of_users[user_id]


def _words(attempt: DeliveryAttempt, news: News) -> str:
    emails = [entry.email for entry in news.profile.emails] if isinstance(news, Snapshot) else []
    return "\n".join((attempt.user_id, attempt.svix_id, attempt.trace_id, *emails)).lower()


def payload_of(body: bytes) -> Any:
    """Return JSON, or `None` where it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
