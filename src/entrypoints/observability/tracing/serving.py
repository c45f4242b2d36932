"""Spans of a request's use cases, and of the batches in which changes are written."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import field, frozen
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, Tracer, set_span_in_context

from application.trace import traceparent
from application.users.ports import Decide, SignedIn, UserReader, UserStore
from application.users.receive_webhook import ReadBody
from domain.decision import Decision, Outcome
from domain.session import SessionId
from domain.user import Known, Tombstone, User, UserId
from entrypoints.observability.tracing import Change, ObtainUser, ReceivesWebhook
from entrypoints.observability.tracing.context import is_sampled, span_of, traceparent_of


@contextmanager
def spanning(tracer: Tracer, name: str, kind: SpanKind = SpanKind.INTERNAL, **more: Any) -> Iterator[Span]:
    """Make a span that says which kind of error ended it, and not its text."""
    with tracer.start_as_current_span(
        name, kind=kind, record_exception=False, set_status_on_exception=False, **more
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            raise


@frozen
class TracedReceiving:
    """`ReceiveWebhook`, with a span."""

    receive_webhook: ReceivesWebhook
    tracer: Tracer

    async def __call__(self, headers: Mapping[str, str], read_body: ReadBody) -> Outcome:
        with spanning(self.tracer, "receive webhook"):
            return await self.receive_webhook(headers, read_body)


@frozen
class TracedObtaining:
    """`JustInTimeSync`, with a span: a request may wait for Clerk here."""

    just_in_time: ObtainUser
    tracer: Tracer

    async def __call__(self, user_id: UserId) -> User | Tombstone:
        with spanning(self.tracer, "obtain from Clerk", attributes={"user.id": user_id}):
            return await self.just_in_time(user_id)


@frozen
class Changes:
    """The changes under way, each in its request's trace.

    A batch serves many: its span, with PostgreSQL's below, belongs to the first change that is sampled. It is linked
    with the others, and they with it.
    """

    tracer: Tracer
    _under_way: dict[str, Span] = field(factory=dict, init=False)

    @contextmanager
    def of(self, user_id: UserId) -> Iterator[Span]:
        with spanning(self.tracer, "change user", attributes={"user.id": user_id}) as span:
            name = traceparent_of(span)
            outer = traceparent.set(name)  # what is stored names this span
            self._under_way[name] = span
            try:
                yield span
            finally:
                self._under_way.pop(name, None)
                traceparent.reset(outer)

    @contextmanager
    def batch(self, changes: Sequence[Change]) -> Generator[None]:
        sampled = [change.traceparent for change in changes if is_sampled(change.traceparent)]
        if not sampled:
            yield
            return
        first, *others = [name for name in sampled if name is not None]
        with spanning(
            self.tracer,
            "write batch",
            context=set_span_in_context(span_of(first), Context()),
            links=[Link(span_of(other).get_span_context()) for other in others],
            attributes={"auth.batch.size": len(changes)},
        ) as batch:
            for other in others:
                if under_way := self._under_way.get(other):
                    under_way.add_link(batch.get_span_context())
            yield


@frozen
class TracedStore:
    """`UserStore`, with a span for the time that a change waits and is written."""

    store: UserStore
    changes: Changes

    async def change(self, user_id: UserId, decide: Decide) -> Decision:
        with self.changes.of(user_id) as span:
            decision = await self.store.change(user_id, decide)
            span.set_attribute("auth.outcome", decision.outcome)
            return decision


@frozen
class TracedReader:
    """`UserReader`, with a span for the time that a reader waits for its answer.

    Readers share statements, so those belong to none of them: the task that sends them must not take the first
    reader's context along.
    """

    reader: UserReader
    tracer: Tracer

    async def get(self, user_id: UserId) -> Known:
        with self._reading(user_id):
            return await self.reader.get(user_id)

    async def signed_in(self, user_id: UserId, session_id: SessionId) -> SignedIn:
        with self._reading(user_id):
            return await self.reader.signed_in(user_id, session_id)

    @contextmanager
    def _reading(self, user_id: UserId) -> Iterator[None]:
        attributes = {"db.system.name": "postgresql", "user.id": user_id}
        with spanning(self.tracer, "read user", SpanKind.CLIENT, attributes=attributes):
            token = attach(Context())
            try:
                yield
            finally:
                detach(token)
