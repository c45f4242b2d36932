"""`POST /v1/users/{id}/…`, on the real ASGI application: what is done, answered, written down and counted."""

import json

import pytest
from sdktest.rows import each_row

from application.errors import (
    ClerkLimitedError,
    ClerkNotConfiguredError,
    ClerkRefusedError,
    ClerkUnavailableError,
    StoreUnavailableError,
    UnstorableError,
)
from application.users.representation import profile_document
from domain.session import SessionId
from entrypoints.http.users import management
from support.user_actions import NOW, act
from support.users import USER, snapshot
from support.web import bearer, deleted

CHANGES = {
    "ban": ("set_banned", True),
    "unban": ("set_banned", False),
    "lock": ("set_locked", True),
    "unlock": ("set_locked", False),
}
WITHOUT_BODY = [*CHANGES, "sync", "delete", "revoke-sessions"]
ACTIONS = [*WITHOUT_BODY, "set-metadata"]


def code(response):
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()["code"]


@pytest.mark.parametrize("action", ["ban", "lock"])
async def test_a_change_is_done_at_clerk_kept_here_told_once_and_answered(served, action):
    first = await act(served, action)
    again = await act(served, action)

    field = {"ban": "banned", "lock": "locked"}[action]
    assert (first.status_code, first.json()["outcome"]) == (200, "updated")
    assert first.json()["user"] == profile_document(served.users.rows[USER])
    assert first.json()["user"][field] is True
    assert again.json()["outcome"] == "unchanged"
    assert served.identities.done == [(*CHANGES[action][:1], USER, True)] * 2
    assert [message.type for message in served.users.outbox] == [
        "anomalyze.user.created.v1",
        "anomalyze.user.updated.v1",
    ]


@pytest.mark.parametrize("action", CHANGES)
async def test_each_action_does_its_own_thing(served, action):
    response = await act(served, action)

    name, value = CHANGES[action]
    assert response.status_code == 200
    assert served.identities.done == [(name, USER, value)]


async def test_metadata_is_merged_and_null_removes(served):
    await act(served, "set-metadata", json={"public_metadata": {"old": 1, "deep": {"a": 1}}})
    response = await act(served, "set-metadata", json={"public_metadata": {"old": None, "deep": {"b": 2}}})

    metadata = response.json()["user"]["public_metadata"]
    assert (metadata.get("old"), metadata["deep"]) == (None, {"a": 1, "b": 2})
    assert served.users.rows[USER].profile.public_metadata == metadata


async def test_sessions_are_revoked_and_counted(served):
    served.identities.sessions[USER] = [SessionId(f"sess_{number}") for number in range(3)]
    response = await act(served, "revoke-sessions")

    assert (response.status_code, response.json()) == (200, {"revoked": 3})
    assert {session_id for session_id, _ in served.users.sessions.rows} == {"sess_0", "sess_1", "sess_2"}
    assert (await served.me(**bearer(sid="sess_1"))).json()["code"] == "session-revoked"


async def test_a_deletion_answers_the_tombstone(served):
    response = await act(served, "delete")

    assert (response.status_code, response.json()["outcome"]) == (200, "deleted")
    assert set(response.json()["user"]) == {"id", "version", "deleted_at"}
    assert USER not in served.identities.users


async def test_a_sync_brings_what_a_lost_webhook_did_not(served):
    served.identities.users[USER] = snapshot(at=NOW + 5000, first_name="Grace")
    response = await act(served, "sync")

    assert (response.json()["outcome"], response.json()["user"]["first_name"]) == ("updated", "Grace")


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_user_that_neither_we_nor_clerk_know_is_404(served, action):
    response = await act(served, action, "user_nobody")

    assert (response.status_code, code(response)) == (404, "user-unknown")


@pytest.mark.parametrize("action", ["ban", "unban", "lock", "unlock", "set-metadata"])
async def test_a_user_who_was_deleted_is_410_and_clerk_is_told_nothing(served, action):
    await served.deliver(deleted())
    response = await act(served, action)

    assert (response.status_code, code(response)) == (410, "user-gone")
    assert served.identities.done == []


@pytest.mark.parametrize("user", ["ada", "user_", "..", "user_a%00", "user_" + "a" * 124, "user_a%20"])
async def test_a_path_that_names_no_user_does_nothing(served, user):
    response = await act(served, "ban", user)

    assert response.status_code in {400, 404, 405, 422}
    assert served.identities.done == []


@pytest.mark.parametrize(
    "path", [f"/v1/users/{USER}/promote", f"/v1/users/{USER}/ban/x", f"/v1/users/{USER}", "/v1/users/ban"]
)
async def test_an_action_that_is_none_is_404_or_405(served, path):
    response = await served.client.post(path)

    assert response.status_code in {404, 405}
    assert served.identities.done == []


@each_row("action", WITHOUT_BODY)
@each_row("body", [b'{"reason": "spam"}', b"[]", b"x", b"\xff"])
async def test_what_would_be_ignored_in_a_body_is_refused(served, action, body):
    response = await act(served, action, content=body)

    assert (response.status_code, code(response)) == (422, "request-not-valid")
    assert served.identities.done == []


@pytest.mark.parametrize("body", [b"{}", b" "])
async def test_an_empty_object_is_as_good_as_nothing(served, body):
    assert (await act(served, "ban", content=body)).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"plan": "pro"}', b'{"public_metadata": []}', b'{"public_metadata": {}']
)
async def test_metadata_that_is_none_is_refused(served, body):
    response = await act(served, "set-metadata", content=body)

    assert (response.status_code, code(response)) == (422, "request-not-valid")
    assert response.json()["detail"].startswith("The body: ")
    assert served.identities.done == []


@pytest.mark.parametrize("action", ["ban", "set-metadata"])
async def test_a_body_over_64_kib_is_413(served, action):
    body = json.dumps({"public_metadata": {"a": "x" * 64 * 1024}}).encode()
    response = await act(served, action, content=body)

    assert (response.status_code, code(response)) == (413, "body-too-large")
    assert served.identities.done == []


@pytest.mark.parametrize(
    ("failure", "status", "expected"),
    [
        (ClerkUnavailableError("slow"), 503, "identity-provider-unavailable"),
        (ClerkLimitedError("429", retry_after_s=9), 503, "identity-provider-limited"),
        (ClerkNotConfiguredError("no key"), 501, "identity-provider-not-configured"),
        (
            ClerkRefusedError("Not in your plan.", status=402, codes=("plan",)),
            422,
            "identity-provider-refused",
        ),
    ],
)
@pytest.mark.parametrize("action", ["ban", "set-metadata", "revoke-sessions", "delete"])
async def test_a_failure_at_clerk_is_told_as_it_is_and_changes_nothing_here(served, failure, status, expected, action):
    before = served.users.rows[USER]
    served.identities.failure = failure
    response = await act(served, action)

    assert (response.status_code, code(response)) == (status, expected)
    assert ("retry-after" in response.headers) == (status == 503)
    assert served.users.rows[USER] == before
    assert len(served.users.outbox) == 1


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(StoreUnavailableError("down"), "store-unavailable"), (UnstorableError("no"), "not-storable")],
)
async def test_a_failure_of_the_database_after_the_action_is_told_and_the_webhook_will_bring_it(
    served, monkeypatch, failure, expected
):
    async def fail(*_):
        raise failure

    monkeypatch.setattr(type(served.users), "change", fail)
    response = await act(served, "ban")

    assert code(response) == expected


async def test_actions_are_counted_by_what_came_of_them(served):
    def count(text, outcome):
        name = f'auth_user_actions_total{{action="lock",outcome="{outcome}"}}'
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)

    before = (await served.client.get("/metrics")).text
    await act(served, "lock")
    await act(served, "lock")
    await act(served, "lock", "user_nobody")
    after = (await served.client.get("/metrics")).text

    assert [count(after, outcome) - count(before, outcome) for outcome in ("updated", "unchanged", "user-unknown")] == [
        1.0
    ] * 3


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [(lambda: {"authorization": ""}, 401), (lambda: {"authorization": "Bearer ask_x"}, 401), (bearer, 403)],
)
async def test_who_calls_is_decided_before_the_first_byte_of_the_body(served, monkeypatch, action, headers, status):
    async def read_body(*_, **__):
        raise AssertionError("the body was read")

    monkeypatch.setattr(management, "read_body", read_body)
    response = await act(served, action, headers=headers())

    assert response.status_code == status


@pytest.mark.parametrize("depth", [101, 1_000, 10_000])
async def test_metadata_nested_too_deep_is_422_and_says_so(served, depth):
    body = b'{"public_metadata": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    response = await act(served, "set-metadata", content=body)

    assert (response.status_code, code(response)) == (422, "request-not-valid")
    assert "nested more than 100 deep" in response.json()["detail"]
