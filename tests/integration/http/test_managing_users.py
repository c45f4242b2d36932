"""`/v1/users` of `auth-service serve`, on a real PostgreSQL, Clerk's stand-in behind it, and its webhooks coming."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import httpx
import pytest

from entrypoints.config.service_keys import new_service_key

KEY, CONFIGURED = new_service_key("billing")
BOUND_S = 40
"""No request of this file takes longer, whatever Clerk does."""

FAULTS = {
    "storm": {"kind": "status", "status": 429, "retry_after_s": 3600},
    "page": {"kind": "html", "status": 502},
    "silent": {"kind": "latency", "delay_s": 120},
    "reset": {"kind": "reset", "keep": 0},
    "malformed": {"kind": "malformed"},
}


@pytest.fixture
def served(serve, clerk_stand_in, database_url):
    return serve(
        "--workers=1", DATABASE_URL=database_url, AUTH_SERVICE_KEYS=str(CONFIGURED), **clerk_stand_in.environment
    )


@pytest.fixture
def client(served):
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=served.url, headers=headers, timeout=BOUND_S) as started:
        yield started


@pytest.fixture
def told(served, clerk_stand_in):
    """Let the service hear of what happens at Clerk, and wait until it has."""
    clerk_stand_in.send_webhooks_to(f"{served.url}/webhooks/clerk")
    return clerk_stand_in.wait_for_webhooks


async def rows(database_url, statement):
    connection = await asyncpg.connect(database_url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def events(database_url):
    return await rows(database_url, "SELECT key, version, split_part(type, '.', 3) FROM outbox ORDER BY id")


async def test_the_caller_reads_its_own_write_and_the_late_webhook_changes_nothing(
    client, clerk_stand_in, told, database_url
):
    clerk_stand_in.instance.create("user_ada", first_name="Ada", email_address=["Ada@example.org"])
    told()
    clerk_stand_in.webhooks.paused = True
    answers = [
        client.post("/v1/users/user_ada/ban"),
        client.post("/v1/users/user_ada/lock"),
        client.post("/v1/users/user_ada/set-metadata", json={"public_metadata": {"plan": "pro"}}),
        client.post("/v1/users/user_ada/unban"),
        client.post("/v1/users/user_ada/unlock"),
    ]
    read = client.get("/v1/users/user_ada").json()
    found = client.get("/v1/users", params={"email": "ada@EXAMPLE.org"}).json()
    clerk_stand_in.webhooks.paused = False
    told()

    assert [answer.status_code for answer in answers] == [200] * 5
    assert [answer.json()["user"]["version"] for answer in answers] == [2, 3, 4, 5, 6]
    assert read == answers[-1].json()["user"]
    assert found == {"users": [read], "missing": []}
    assert (read["banned"], read["locked"], read["public_metadata"]) == (False, False, {"plan": "pro"})
    assert client.get("/v1/users/user_ada").json() == read
    assert [version for _, version, _ in await events(database_url)] == [1, 2, 3, 4, 5, 6]


async def test_a_deletion_is_one_tombstone_and_one_event_and_the_late_webhook_changes_nothing(
    client, clerk_stand_in, told, database_url
):
    clerk_stand_in.instance.create("user_ada", email_address=["ada@example.org"])
    told()
    deleted = client.post("/v1/users/user_ada/delete")
    told()
    again = client.post("/v1/users/user_ada/delete")

    assert (deleted.status_code, deleted.json()["outcome"]) == (200, "deleted")
    assert again.status_code in {200, 410}
    assert client.get("/v1/users/user_ada").status_code == 410
    assert client.get("/v1/users", params={"ids": "user_ada"}).json() == {"users": [], "missing": ["user_ada"]}
    assert client.get("/v1/users", params={"email": "ada@example.org"}).json()["users"] == []
    assert [kind for _, _, kind in await events(database_url)] == ["created", "deleted"]
    assert clerk_stand_in.instance.user_ids() == []


def test_sessions_are_ended_at_clerk(client, clerk_stand_in, told):
    clerk_stand_in.instance.create("user_ada")
    told()
    for _ in range(3):
        clerk_stand_in.instance.sign_in("user_ada")

    assert client.post("/v1/users/user_ada/revoke-sessions").json() == {"revoked": 3}
    assert clerk_stand_in.instance.sessions(user_id="user_ada", status="active") == []


def test_a_sync_repairs_what_lost_webhooks_left_wrong(client, clerk_stand_in):
    clerk_stand_in.instance.create("user_ada", first_name="Ada")
    first = client.get("/v1/users/user_ada").json()
    clerk_stand_in.instance.update("user_ada", first_name="Augusta")
    stale = client.get("/v1/users/user_ada").json()
    synced = client.post("/v1/users/user_ada/sync")

    assert (first["first_name"], stale["first_name"]) == ("Ada", "Ada")
    assert (synced.status_code, synced.json()["outcome"]) == (200, "updated")
    assert client.get("/v1/users/user_ada").json()["first_name"] == "Augusta"


def test_a_user_that_nobody_has_is_404_for_every_action(client):
    for action in ("ban", "unban", "lock", "unlock", "revoke-sessions", "sync", "delete"):
        answer = client.post(f"/v1/users/user_nobody/{action}")

        assert (action, answer.status_code, answer.json()["code"]) == (action, 404, "user-unknown")


def test_a_user_that_is_deleted_at_clerk_between_looking_and_acting_is_no_outage(client, clerk_stand_in, told):
    clerk_stand_in.instance.create("user_ada")
    told()
    with clerk_stand_in.instance.quietly():
        clerk_stand_in.instance.delete("user_ada")

    assert client.get("/v1/users/user_ada").status_code == 200
    assert client.post("/v1/users/user_ada/ban").status_code in {404, 410}


@pytest.mark.parametrize("fault", FAULTS)
async def test_clerks_bad_day_is_503_in_bounded_time_and_changes_nothing_here(
    client, clerk_stand_in, told, database_url, fault
):
    clerk_stand_in.instance.create("user_ada")
    told()
    before = await rows(database_url, "SELECT * FROM users")
    clerk_stand_in.webhooks.paused = True
    clerk_stand_in.fails(**FAULTS[fault])
    started = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        paths = [f"/v1/users/user_ada/{action}" for action in ("ban", "lock", "delete", "sync", "revoke-sessions")]
        answers = list(pool.map(client.post, paths))
    read = client.get("/v1/users/user_ada")

    assert time.monotonic() - started < BOUND_S
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] in {"identity-provider-unavailable", "identity-provider-limited"}
        assert 1 <= int(answer.headers["retry-after"]) <= 300
        assert clerk_stand_in.secret_key not in answer.text
    assert read.status_code == 200
    assert await rows(database_url, "SELECT * FROM users") == before
    assert [kind for _, _, kind in await events(database_url)] == ["created"]
    clerk_stand_in.faults.clear()


def test_what_clerk_refuses_is_told_with_its_codes_and_changes_nothing(client, clerk_stand_in, told):
    clerk_stand_in.instance.create("user_ada")
    told()
    too_much = {"public_metadata": {"text": "x" * 9000}}
    answer = client.post("/v1/users/user_ada/set-metadata", json=too_much)

    assert (answer.status_code, answer.json()["code"]) == (422, "identity-provider-refused")
    assert answer.json()["codes"] == ["form_param_exceeds_allowed_size"]
    assert client.get("/v1/users/user_ada").json()["version"] == 1


def test_without_a_key_for_clerk_reading_works_and_acting_says_why_not(serve, database_url):
    url = serve("--workers=1", DATABASE_URL=database_url, AUTH_SERVICE_KEYS=str(CONFIGURED)).url
    headers = {"authorization": f"Bearer {KEY}"}
    read = httpx.get(f"{url}/v1/users?ids=user_ada", headers=headers)
    acted = httpx.post(f"{url}/v1/users/user_ada/ban", headers=headers)

    assert (read.status_code, read.json()["missing"]) == (200, ["user_ada"])
    assert (acted.status_code, acted.json()["code"]) == (501, "identity-provider-not-configured")


def test_what_was_done_refused_and_failed_stands_in_the_log_without_personal_data(served, client, clerk_stand_in, told):
    clerk_stand_in.instance.create("user_ada", email_address=["ada@example.org"], first_name="Augusta")
    told()
    client.post("/v1/users/user_ada/ban")
    client.post("/v1/users/user_ada/delete", headers={"authorization": "Bearer ask_stolen"})
    client.post("/v1/users/user_nobody/sync")
    client.get("/v1/users", params={"email": "ada@example.org"})
    served.stop()

    lines = [json.loads(line) for line in served.log if '"user_action"' in line]
    ban, *others = [(line["action"], line["outcome"], line.get("by_service"), line["user_id"]) for line in lines]
    # Clerk's webhook may tell the service of the ban before its own call has returned.
    assert ban in [("ban", "updated", "billing", "user_ada"), ("ban", "stale", "billing", "user_ada")]
    assert others == [
        ("delete", "service-key-not-valid", None, None),
        ("sync", "user-unknown", "billing", "user_nobody"),
    ]
    text = "\n".join(served.log)
    assert not any(
        word in text for word in ("ada@example.org", "Augusta", KEY, "ask_stolen", clerk_stand_in.secret_key)
    )
