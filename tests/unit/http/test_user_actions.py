"""`POST /v1/users/{id}/…`, on the real ASGI application: what is done, answered, written down and counted."""

import json

import pytest
from structlog.testing import capture_logs

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
from entrypoints.config.service_keys import new_service_key
from entrypoints.http.users import management
from support.users import USER, snapshot
from support.web import bearer, created, deleted, web

KEY, CONFIGURED = new_service_key("billing")
NOW = 1_700_000_000_000
MANAGE = {"v": 2, "fea": "o:users", "o": {"id": "org_ours", "rol": "admin", "per": "manage", "fpm": "1"}}

CHANGES = {
    "ban": ("set_banned", True),
    "unban": ("set_banned", False),
    "lock": ("set_locked", True),
    "unlock": ("set_locked", False),
}
WITHOUT_BODY = [*CHANGES, "sync", "delete", "revoke-sessions"]
ACTIONS = [*WITHOUT_BODY, "set-metadata"]
PATCH = {"public_metadata": {"plan": "pro", "old": None}}


@pytest.fixture
async def served():
    async with web(AUTH_SERVICE_KEYS=str(CONFIGURED), AUTH_SERVICE_ORGANIZATIONS="org_ours") as started:
        started.client.headers["authorization"] = f"Bearer {KEY}"
        await started.deliver(created())
        kept = started.users.rows[USER].profile
        started.identities.users[USER] = snapshot(
            at=NOW, **{name: getattr(kept, name) for name in type(kept).__slots__ if name != "__weakref__"}
        )
        yield started


async def act(served, action, user=USER, *, headers=None, **how):
    if action == "set-metadata" and not how:
        how = {"json": PATCH}
    return await served.client.post(f"/v1/users/{user}/{action}", headers=headers, **how)


def code(response):
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()["code"]


def audited(logs):
    return [line for line in logs if line["event"] == "user_action"]


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


@pytest.mark.parametrize("action", WITHOUT_BODY)
@pytest.mark.parametrize("body", [b'{"reason": "spam"}', b"[]", b"x", b"\xff"])
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
    ("trouble", "status", "expected"),
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
async def test_trouble_at_clerk_is_told_as_it_is_and_changes_nothing_here(served, trouble, status, expected, action):
    before = served.users.rows[USER]
    served.identities.trouble = trouble
    response = await act(served, action)

    assert (response.status_code, code(response)) == (status, expected)
    assert ("retry-after" in response.headers) == (status == 503)
    assert served.users.rows[USER] == before
    assert len(served.users.outbox) == 1


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [(StoreUnavailableError("down"), "store-unavailable"), (UnstorableError("no"), "not-storable")],
)
async def test_trouble_with_the_database_after_the_action_is_told_and_the_webhook_will_bring_it(
    served, monkeypatch, trouble, expected
):
    async def fail(*_):
        raise trouble

    monkeypatch.setattr(type(served.users), "change", fail)
    response = await act(served, "ban")

    assert code(response) == expected


async def test_the_audit_line_says_which_service_did_what_to_whom(served):
    with capture_logs() as logs:
        response = await act(served, "ban")

    (line,) = audited(logs)
    assert line == {
        "event": "user_action",
        "log_level": "info",
        "request_id": response.headers["x-request-id"],
        "action": "ban",
        "user_id": USER,
        "outcome": "updated",
        "by_service": "billing",
    }


async def test_the_audit_line_says_which_person_in_which_session_did_it(served):
    await served.deliver(created("user_admin"))
    with capture_logs() as logs:
        await act(served, "set-metadata", headers=bearer("user_admin", **MANAGE))

    (line,) = audited(logs)
    assert {name: value for name, value in line.items() if name.startswith("by_")} == {
        "by_user": "user_admin",
        "by_session": "sess_1",
        "by_actor": None,
        "by_organization": "org_ours",
    }
    assert "plan" not in str(line)


@pytest.mark.parametrize(
    ("credentials", "outcome", "by"),
    [
        (lambda: {"authorization": ""}, "credentials-missing", {}),
        (lambda: {"authorization": "Bearer ask_wrong"}, "service-key-not-valid", {}),
        (lambda: {"authorization": "Bearer x.y.z"}, "token-not-valid", {}),
        (lambda: bearer("user_mallory"), "permission-missing", {"by_user": "user_mallory"}),
        (lambda: bearer("user_nobody", **MANAGE), "user-not-admitted", {"by_user": "user_nobody"}),
        (
            lambda: bearer("user_admin", **MANAGE, act={"sub": "user_support"}),
            "impersonation-refused",
            {"by_user": "user_admin", "by_actor": "user_support"},
        ),
    ],
)
async def test_what_was_refused_is_written_down_too(served, credentials, outcome, by):
    with capture_logs() as logs:
        await act(served, "delete", headers=credentials())

    (line,) = audited(logs)
    assert (line["log_level"], line["action"], line["outcome"]) == ("warning", "delete", outcome)
    assert by.items() <= line.items()
    assert served.identities.done == []


async def test_what_failed_is_written_down_too(served):
    served.identities.trouble = ClerkUnavailableError("slow")
    with capture_logs() as logs:
        await act(served, "delete")
        await act(served, "ban", "user_nobody")
        await act(served, "ban", "not-a-user")

    assert [(line["outcome"], line["user_id"]) for line in audited(logs)] == [
        ("identity-provider-unavailable", USER),
        ("identity-provider-unavailable", "user_nobody"),
        ("request-not-valid", None),
    ]


async def test_a_bug_is_written_down_too(served):
    served.identities.trouble = RuntimeError("ada@example.org")
    with capture_logs() as logs:
        response = await act(served, "ban")

    (line,) = audited(logs)
    assert (response.status_code, line["outcome"]) == (500, "internal-error")
    assert "ada@" not in str(logs)


async def test_reading_leaves_no_audit_line(served):
    with capture_logs() as logs:
        await served.client.get(f"/v1/users/{USER}")

    assert audited(logs) == []


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
