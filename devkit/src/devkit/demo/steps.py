"""The steps of the demo, in order: a title, the reason, and the actions and checks."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import evolve, frozen
from rich.text import Text

from devkit.demo.differences import ANY_TAG
from devkit.demo.life import Life, rfc3339, show_answer
from devkit.demo.screen import Scene, pairs


@frozen
class Step:
    title: str
    why: str
    play: Callable[[Life, Scene], Awaitable[None]]


CHANGED: dict[str, Any] = {
    "email": "ada@lovelace.example",
    "first_name": "Augusta Ada",
    "public_metadata": {"plan": "pro"},
}


async def sign_up(life: Life, scene: Scene) -> None:
    life.first_delivery = life.webhook("user.created", life.user(life.at(0)), life.at(0))
    await life.deliver(scene, life.first_delivery, status=200, outcome="created")
    profile = life.profile(1, life.at(0))
    await life.expect_row(scene, {**profile, "deleted_at": None})
    await life.expect_event(scene, "created", 1, life.at(0), {"user": profile, "changed": []})


async def same_again(life: Life, scene: Scene) -> None:
    assert life.first_delivery  # noqa: S101  # the first step made it
    await life.deliver(scene, life.first_delivery, status=200, outcome="unchanged")
    await life.expect_nothing(scene)


async def change(life: Life, scene: Scene) -> None:
    user = life.user(life.at(20), **CHANGED)
    await life.deliver(scene, life.webhook("user.updated", user, life.at(20)), status=200, outcome="updated")
    profile = life.profile(2, life.at(20), **CHANGED)
    await life.expect_row(scene, {**profile, "deleted_at": None})
    changed = ["email", "emails", "first_name", "public_metadata"]
    await life.expect_event(scene, "updated", 2, life.at(20), {"user": profile, "changed": changed})


async def late_update(life: Life, scene: Scene) -> None:
    user = life.user(life.at(10), first_name="Ada Augusta")
    await life.deliver(scene, life.webhook("user.updated", user, life.at(10)), status=200, outcome="stale")
    await life.expect_nothing(scene)


async def me(life: Life, scene: Scene) -> None:
    scene.show("sent", "GET /v1/me   Authorization: Bearer <session token, RS256>")
    answer = await life.stage.me(life.token())
    show_answer(scene, answer, "etag", "cache-control")
    scene.check("answer.status", 200, answer.status)
    scene.check("answer.body", life.profile(2, life.at(20), **CHANGED), answer.body)
    scene.check("answer.etag", ANY_TAG, answer.headers.get("etag"))
    scene.check("answer.cache-control", "private, no-cache", answer.headers.get("cache-control"))

    tag = answer.headers.get("etag", "")
    scene.show("sent", f"GET /v1/me   If-None-Match: {tag}")
    again = await life.stage.me(life.token(), **{"if-none-match": tag})
    show_answer(scene, again, "etag")
    scene.outcome = "unchanged profile"
    scene.check("answer.status", 304, again.status)
    scene.check("answer.body", None, again.body)


async def sign_out(life: Life, scene: Scene) -> None:
    session_id = life.stage.clerk.new_session_id(now_ms=life.at(25))
    token = life.token(session_id)
    before = await life.stage.me(token)
    scene.check("answer.status before", 200, before.status)
    session = life.stage.clerk.ended_session(session_id, life.user_id, "ended", now_ms=life.at(25))
    await life.deliver(scene, life.webhook("session.ended", session, life.at(25)), status=200, outcome="revoked")
    await life.expect_session_event(scene, session_id, life.at(25))
    scene.show("sent", "GET /v1/me   Authorization: Bearer <the token of that session, still valid>")
    after = await life.stage.me(token)
    show_answer(scene, after, "www-authenticate")
    scene.check("answer.status", 401, after.status)
    scene.check("answer.code", "session-revoked", isinstance(after.body, dict) and after.body.get("code"))
    other = await life.stage.me(life.token())
    scene.check("answer.status of another session", 200, other.status)
    scene.outcome = "revoked, then session-revoked"


async def forgery(life: Life, scene: Scene) -> None:
    genuine = life.webhook("user.updated", life.user(life.at(30)), life.at(30))
    event = json.loads(genuine.body)
    event["data"]["public_metadata"] = {"plan": "enterprise"}
    forged = evolve(genuine, body=json.dumps(event).encode())
    await life.deliver(scene, forged, status=400, outcome="webhook-not-genuine")
    await life.expect_nothing(scene)


async def deletion(life: Life, scene: Scene) -> None:
    webhook = life.webhook("user.deleted", life.stage.clerk.deleted_user(life.user_id), life.at(40))
    await life.deliver(scene, webhook, status=200, outcome="deleted")
    gone = rfc3339(life.at(40))
    nothing = dict.fromkeys(life.profile(3, 0))
    flags = {"email_verified": False, "banned": False, "locked": False}
    await life.expect_row(scene, {**nothing, **flags, "id": life.user_id, "version": 3, "deleted_at": gone})
    data = {"user": {"id": life.user_id, "version": 3, "deleted_at": gone}}
    await life.expect_event(scene, "deleted", 3, life.at(40), data)


async def resurrection(life: Life, scene: Scene) -> None:
    user = life.user(life.at(50), first_name="Ada, again")
    await life.deliver(scene, life.webhook("user.updated", user, life.at(50)), status=200, outcome="stale")
    await life.expect_nothing(scene)


async def token_of_the_deleted(life: Life, scene: Scene) -> None:
    scene.show("sent", "GET /v1/me   Authorization: Bearer <session token, still valid>")
    answer = await life.stage.me(life.token())
    show_answer(scene, answer, "www-authenticate")
    scene.outcome = "user-deleted"
    scene.check("answer.status", 401, answer.status)
    scene.check("answer.code", "user-deleted", isinstance(answer.body, dict) and answer.body.get("code"))
    scheme, _, rest = answer.headers.get("www-authenticate", "").partition(" ")
    scene.check("answer.www-authenticate", ["Bearer", True], [scheme, 'error="invalid_token"' in rest])


async def the_whole_topic(life: Life, scene: Scene) -> None:
    order = [f"{event.headers.get('ce_type')} v{int(event.headers.get('ce_sequence', '0'))}" for event in life.events]
    for event, line in zip(life.events, order, strict=True):
        scene.show("event", [Text(line), *pairs({"partition": event.partition, "offset": event.offset})])
    expected = [f"anomalyze.user.{kind}.v1 v{n}" for n, kind in enumerate(("created", "updated", "deleted"), start=1)]
    scene.check("events in order", expected, order)
    scene.check("partitions", 1, len({event.partition for event in life.events}))
    scene.check("different ids", 3, len({event.headers.get("ce_id") for event in life.events}))
    scene.check("events in the topic", 3, await life.stage.events_ever())
    scene.event = f"{len(life.events)} in order"


STEPS = (
    Step(
        "Sign-up",
        "Clerk sends a signed webhook. Row and event are stored in one transaction, then the answer is 200.",
        sign_up,
    ),
    Step(
        "The same delivery again",
        "Clerk delivers at least once; a repetition is a success and changes nothing.",
        same_again,
    ),
    Step("A profile change", "The event has the whole profile and the names of the changed fields.", change),
    Step("An older update arrives late", "Deliveries may be reordered; one older than the row is stale.", late_update),
    Step(
        "GET /v1/me, twice",
        "The browser reads the profile with its session token; the second time it has it already.",
        me,
    ),
    Step(
        "A sign-out",
        "Its token is valid for up to a minute more; the event lets every service refuse it, as this one does.",
        sign_out,
    ),
    Step("A forged webhook", "Its body was changed after it was signed, so it is refused.", forgery),
    Step("Deletion", "A tombstone stays, without personal data, in the row and in the event.", deletion),
    Step(
        "An update after the deletion",
        "It is newer than everything else, but a deleted user is never restored.",
        resurrection,
    ),
    Step(
        "The deleted user's token",
        "It is valid for up to a minute after the deletion; the row decides.",
        token_of_the_deleted,
    ),
    Step(
        "The whole topic",
        "One user's events: every version once, in order, in one partition.",
        the_whole_topic,
    ),
)
