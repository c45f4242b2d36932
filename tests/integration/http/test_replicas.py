"""`auth-service serve` beside a primary and its standby: right answers, whatever becomes of the standby."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from devkit.fake_clerk.samples import sample_user
from entrypoints.config.service_keys import new_service_key
from support.standby import Cluster, cluster
from support.users import USER
from support.web import bearer, event, signed

KEY, CONFIGURED = new_service_key("tests")
SERVICE = {"authorization": f"Bearer {KEY}"}


def migrated(running: Cluster) -> None:
    async def bring_up() -> None:
        engine = create_engine(read_target(running.primary.url), pool_size=1, application_name="tests")
        await migrate(engine)
        await engine.dispose()

    asyncio.run(bring_up())
    running.wait_until_replayed()


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    with cluster() as running:
        migrated(running)
        yield running


@pytest.fixture
def breakable(shared: Cluster) -> Iterator[Cluster]:
    """For a test that kills or freezes its standby."""
    yield shared
    shared.standbys[0].repair()


@pytest.fixture
def alone() -> Iterator[Cluster]:
    """For a test that breaks it for good."""
    with cluster() as running:
        migrated(running)
        yield running


def served_beside(serve, running: Cluster, **variables: str):
    return serve(
        DATABASE_URL=running.primary.url,
        DATABASE_REPLICA_URL=running.standbys[0].url,
        AUTH_SERVICE_KEYS=str(CONFIGURED),
        **variables,
    )


def deliver(url: str, body: bytes) -> None:
    answer = httpx.post(f"{url}/webhooks/clerk", content=body, headers=signed(body), timeout=20)
    assert answer.status_code == 200, answer.text


_clock = itertools.count(1_700_000_000_000, 1000)


def news(user_id: str = USER, **changes: object) -> bytes:
    """Newer than all before it."""
    at = next(_clock)
    return event("user.updated", sample_user(user_id, now_ms=at, **changes), at=at)


def get(url: str, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{url}{path}", headers=headers or bearer(), timeout=20)


def health(url: str) -> Any:
    return httpx.get(f"{url}/health", timeout=20).json()


def wait_until(url: str, state: str) -> None:
    deadline = time.monotonic() + 60
    while health(url)["checks"].get("replica") != state:
        assert time.monotonic() < deadline, health(url)
        time.sleep(0.05)


def reads(url: str) -> dict[tuple[str, str], float]:
    """By place and reason."""
    counts = {}
    for line in httpx.get(f"{url}/metrics", timeout=20).text.splitlines():
        if line.startswith("auth_user_reads_total{"):
            labels, _, count = line.rpartition(" ")
            place, why = (part.split('"')[1] for part in labels.split("{")[1].split(","))
            counts[place, why] = float(count)
    return counts


def test_reads_go_to_the_standby_and_say_so(serve, shared):
    url = served_beside(serve, shared).url
    wait_until(url, "ok")
    deliver(url, news())
    shared.wait_until_replayed()
    before = reads(url)

    tag = get(url, "/v1/me").headers["etag"]
    assert get(url, "/v1/me", **bearer(), **{"if-none-match": tag}).status_code == 304
    assert get(url, "/v1/verify?active=true").status_code == 200
    assert get(url, f"/v1/users/{USER}", **SERVICE).json()["id"] == USER
    assert get(url, f"/v1/users?ids={USER}", **SERVICE).json()["users"][0]["id"] == USER
    email = get(url, "/v1/me").json()["email"]
    assert get(url, f"/v1/users?email={email}", **SERVICE).json()["users"][0]["id"] == USER

    after = reads(url)
    assert after["replica", ""] - before["replica", ""] == 7
    assert {key: count for key, count in after.items() if key[0] == "primary"} == {
        key: count for key, count in before.items() if key[0] == "primary"
    }


def test_a_user_who_signed_up_this_moment_is_there(serve, shared):
    url = served_beside(serve, shared).url
    wait_until(url, "ok")
    shared.standbys[0].pause_replay()
    try:
        new = "user_brandnew"
        deliver(url, news(new))

        assert get(url, "/v1/me", **bearer(new)).status_code == 200
        assert get(url, f"/v1/users/{new}", **SERVICE).status_code == 200
        assert get(url, f"/v1/users?ids={new}", **SERVICE).json()["missing"] == []
    finally:
        shared.standbys[0].resume_replay()


def test_with_replay_paused_nobody_is_answered_older_than_they_have_seen(serve, shared):
    url = served_beside(serve, shared).url
    wait_until(url, "ok")
    deliver(url, news())
    shared.wait_until_replayed()
    first = get(url, "/v1/me")
    shared.standbys[0].pause_replay()
    try:
        deliver(url, news(first_name="Grace"))
        version = first.json()["version"] + 1

        for path in ("/v1/me", f"/v1/users/{USER}"):
            answer = get(url, f"{path}?min_version={version}", **(bearer() if path == "/v1/me" else SERVICE))
            assert (answer.json()["version"], answer.json()["first_name"]) == (version, "Grace")
        listed = get(url, f"/v1/users?ids={USER}&min_version={version}", **SERVICE).json()["users"]
        assert [user["version"] for user in listed] == [version]
        assert get(url, f"/v1/verify?active=true&min_version={version}").status_code == 200
        newest = get(url, f"/v1/me?min_version={version}").headers["etag"]
        assert get(url, "/v1/me", **bearer(), **{"if-none-match": newest}).status_code == 304
        assert get(url, f"/v1/me?min_version={version + 1}").json()["code"] == "version-not-reached"
    finally:
        shared.standbys[0].resume_replay()


def test_with_replay_paused_an_unban_counts_at_once_and_a_ban_within_seconds(serve, shared):
    url = served_beside(serve, shared).url
    wait_until(url, "ok")
    deliver(url, news(banned=True))
    shared.wait_until_replayed()
    shared.standbys[0].pause_replay()
    try:
        deliver(url, news(banned=False))
        assert get(url, "/v1/verify?active=true").status_code == 200
    finally:
        shared.standbys[0].resume_replay()
    shared.wait_until_replayed()
    wait_until(url, "ok")

    shared.standbys[0].pause_replay()
    try:
        deliver(url, news(banned=True))
        wait_until(url, "degraded")
        assert get(url, "/v1/me").status_code == 403
        assert get(url, "/v1/verify?active=true").status_code == 403
        answer = httpx.get(f"{url}/health/ready", timeout=20)
        assert answer.status_code == 200
        assert "too far behind" in health(url)["causes"]["replica"]
    finally:
        shared.standbys[0].resume_replay()


@pytest.mark.parametrize("fault", ["kill", "freeze", "promote"])
def test_without_the_standby_every_answer_is_right_and_one_line_says_so(serve, request, fault):
    running = request.getfixturevalue("alone" if fault == "promote" else "breakable")
    served = served_beside(serve, running)
    url = served.url
    wait_until(url, "ok")
    deliver(url, news())
    running.wait_until_replayed()
    before = get(url, "/v1/me")
    assert before.status_code == 200
    version = before.json()["version"] + 1
    [standby] = running.standbys
    getattr(standby, fault)()

    deliver(url, news(first_name="Grace"))
    for _ in range(20):
        assert get(url, f"/v1/me?min_version={version}").json()["first_name"] == "Grace"
    wait_until(url, "degraded")
    assert httpx.get(f"{url}/health/ready", timeout=20).status_code == 200
    for _ in range(20):
        assert get(url, "/v1/me").json()["first_name"] == "Grace"
    came_back = fault != "promote"
    if came_back:
        standby.start() if fault == "kill" else standby.thaw()
        wait_until(url, "ok")
        running.wait_until_replayed()
        from_replica = reads(url)["replica", ""]
        assert get(url, f"/v1/me?min_version={version}").json()["first_name"] == "Grace"
        assert reads(url)["replica", ""] == from_replica + 1
    served.stop()

    lines = [json.loads(line) for line in served.log if "replica" in line]
    told = [line["event"] for line in lines]
    assert told == (["replica_unavailable", "replica_recovered"] * 3)[: len(told)]
    assert len(told) in ((2, 4) if came_back else (1,))  # a busy machine may freeze it once more
    assert "Traceback" not in "\n".join(served.log)
    password = standby.url.split(":")[2].split("@")[0]
    assert password not in "\n".join(served.log)


def test_a_silent_primary_holds_up_no_read_at_the_standby(serve, alone):
    served = served_beside(serve, alone)
    url = served.url
    deliver(url, news())
    alone.wait_until_replayed()
    wait_until(url, "ok")
    version = get(url, "/v1/me").json()["version"]
    from_replica = reads(url)["replica", ""]
    alone.primary.freeze()

    for _ in range(5):
        assert get(url, f"/v1/me?min_version={version}").json()["version"] == version
    assert reads(url)["replica", ""] == from_replica + 5
    refused = get(url, f"/v1/me?min_version={version + 1}")
    assert (refused.status_code, refused.json()["code"]) == (503, "store-unavailable")


def test_a_replica_that_is_not_there_at_the_start_stops_nothing(serve, shared):
    served = serve(
        DATABASE_URL=shared.primary.url, DATABASE_REPLICA_URL="postgresql://nobody:secret@127.0.0.1:1/nothing"
    )
    deliver(served.url, news())

    assert get(served.url, "/v1/me").status_code == 200
    wait_until(served.url, "degraded")
    cause = health(served.url)["causes"]["replica"]
    assert cause.startswith("1 of 1: PostgreSQL replica: out of reach")
    assert "127.0.0.1" not in cause
    served.stop()
    assert "127.0.0.1:1" in "\n".join(served.log)


def test_the_address_may_stand_in_a_file(serve, shared, tmp_path):
    file = tmp_path / "replica-url"
    file.write_text(f"{shared.standbys[0].url}\n")
    file.chmod(0o600)
    served = serve(DATABASE_URL=shared.primary.url, DATABASE_REPLICA_URL_FILE=str(file))

    wait_until(served.url, "ok")
