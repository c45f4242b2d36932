"""What the database has of a user beside the row: for `users history` and `users erased`."""

import asyncio
from functools import partial

from adapters.kafka.cloudevents import encode
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.session_store import PostgresSessionStore
from adapters.postgres.stored_traces import PostgresStoredTraces
from application.relay.lanes import LANES, session_lane
from application.relay.messages import RefusedMessage
from application.sessions.revoke_session import RevokeSession
from domain.session import RevokedSession, SessionId
from domain.sync_user import sync_user
from domain.user import UserId
from support.users import USER, snapshot


async def test_everything_of_this_user_is_there_and_nothing_of_others(engine, store):
    outbox, traces = PostgresOutbox(engine), PostgresStoredTraces(engine)
    for user in (USER, UserId("user_other")):
        for at in (1000, 2000):
            await store.change(user, partial(sync_user, snapshot=snapshot(user, at=at, first_name=f"{at}")))
    refused = [item for item in await outbox.oldest(range(LANES), 10) if item.message.version == 1]
    await outbox.move_to_dead_letters([RefusedMessage(item, "too large", 2) for item in refused])
    sessions = PostgresSessionStore(engine, encode, lambda _: None)
    await sessions.start()
    for number, user in enumerate((USER, UserId("user_other"))):
        await RevokeSession(sessions)(RevokedSession(id=SessionId(f"sess_{number}"), user_id=user, revoked_at=1))
    await sessions.aclose()

    found = await traces.of_user(USER)

    assert [(event.version, event.state_only) for event in found.waiting] == [(2, False)]
    assert [(event.version, event.error, event.discarded_at) for event in found.dead] == [(1, "too large", None)]
    assert [session.id for session in found.sessions] == ["sess_0"]
    assert (found.waiting_sessions, found.dead_sessions) == (1, 0)
    never = await traces.of_user(UserId("user_never"))
    assert [*never.waiting, *never.dead, *never.sessions, never.waiting_sessions, never.dead_sessions] == [0, 0]


async def test_events_of_ended_sessions_are_the_users_wherever_they_wait_until_they_are_discarded(engine):
    outbox, admin, traces = PostgresOutbox(engine), PostgresOutboxAdmin(engine), PostgresStoredTraces(engine)
    sessions = PostgresSessionStore(engine, encode, lambda _: None)
    await sessions.start()
    for number, user in enumerate((USER, USER, UserId(f"{USER}_2"))):
        await RevokeSession(sessions)(RevokedSession(id=SessionId(f"sess_{number}"), user_id=user, revoked_at=1))
    await sessions.aclose()
    waiting = await outbox.oldest([session_lane(lane) for lane in range(LANES)], 10)
    await outbox.move_to_dead_letters(
        [RefusedMessage(item, "too large", 2) for item in waiting if item.message.key == "sess_0"]
    )
    [letter] = await admin.dead(limit=10)

    kept = await traces.of_user(USER)
    await admin.discard([letter.id], "nobody needs it")
    discarded = await traces.of_user(USER)

    assert [(found.waiting_sessions, found.dead_sessions) for found in (kept, discarded)] == [(1, 1), (1, 0)]
    assert [*kept.waiting, *kept.dead] == []


async def test_an_event_that_moves_between_the_tables_meanwhile_is_always_in_one_of_them(engine, store):
    await store.change(USER, partial(sync_user, snapshot=snapshot(USER)))
    outbox, admin, traces = PostgresOutbox(engine), PostgresOutboxAdmin(engine), PostgresStoredTraces(engine)

    async def move() -> None:
        for _ in range(40):
            waiting = await outbox.oldest(range(LANES), 10)
            await outbox.move_to_dead_letters([RefusedMessage(item, "too large", 2) for item in waiting])
            await admin.retry([letter.id for letter in await admin.dead(limit=10)])

    async def look() -> list[int]:
        counts = []
        while not moving.done():
            found = await traces.of_user(USER)
            counts.append(len(found.waiting) + len(found.dead))
        return counts

    moving = asyncio.create_task(move())
    counts = [*await look(), *await look()]
    await moving

    assert len(counts) > 10
    assert set(counts) == {1}
