"""Every number exists on the process that docs/metrics.md says, and moves when what it counts happens."""

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from application.relay.lanes import LANES
from devkit.fake_clerk.samples import sample_user
from devkit.servers.ports import free_port
from support.http_server import Answer, http_server
from support.web import bearer, created, event, signed, token

DOCUMENT = (Path(__file__).parents[3] / "docs/metrics.md").read_text()


def documented(section):
    """The metrics below this heading."""
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))


def numbers(url):
    """Every sample, by its name and labels as they are written."""
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def names(url):
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    return {name for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE) if not name.endswith("_created")}


def moved(url, expected, *, within=60):
    """Wait until these numbers are what they should be."""
    deadline = time.monotonic() + within
    while True:
        try:
            found = numbers(url)
        except httpx.TransportError:  # a worker that was killed takes those along who were just connecting to it
            found = {}
        wrong = {name: found.get(name) for name, holds in expected.items() if not holds(found.get(name, -1.0))}
        if not wrong:
            return
        assert time.monotonic() < deadline, wrong
        time.sleep(0.2)


def is_(value):
    return lambda number: number == value


def above(value):
    return lambda number: number > value


def test_the_numbers_of_serve_move(running_serve):
    keys = Answer(status=500)
    with http_server(lambda _: keys) as clerk:
        _, url = running_serve(CLERK_JWT_KEY="", CLERK_JWKS_URL=f"{clerk.url}/jwks")
        began = time.time()
        once, old, odd = created(), created("user_old"), event("user.created", {"id": "user_odd"})
        with httpx.Client(base_url=url, trust_env=False) as http:
            for body, headers in [
                (once, signed(once)),
                (once, signed(once)),
                (b"{}", signed(b"something else")),
                (old, {**signed(old), "svix-timestamp": "1700000000"}),
                (odd, signed(odd)),
            ]:
                http.post("/webhooks/clerk", content=body, headers=headers)
            session = token(key_id="ins_1")
            answer = http.get("/v1/me", headers={"authorization": f"Bearer {session}"})
            http.post("/v1/users/user_1/ban")
            http.request("BREW", "/nowhere")

        assert answer.status_code == 503
        moved(
            url,
            {
                'auth_webhooks_total{outcome="created"}': is_(1),
                'auth_webhooks_total{outcome="unchanged"}': is_(1),
                'auth_webhooks_total{outcome="deleted"}': is_(0),
                'auth_webhooks_total{outcome="webhook-not-genuine"}': is_(2),
                'auth_webhooks_total{outcome="webhook-not-usable"}': is_(1),
                'auth_failures_total{cause="webhook: wrong signature"}': above(0),
                'auth_failures_total{cause="signing keys: out of reach"}': is_(1),
                "auth_webhook_last_accepted_timestamp_seconds": above(began),
                "auth_write_queue_changes": is_(0),
                'auth_database_connections{state="idle"}': above(0),
                'auth_database_connections{state="in use"}': is_(0),
                "auth_jwks_usable": is_(0),
                "auth_jwks_fetches_total": above(0),
                "auth_jwks_fetch_failures_total": above(0),
                "auth_event_loop_lag_seconds": above(0),
                'auth_user_actions_total{action="ban",outcome="credentials-missing"}': is_(1),
                'http_requests_total{method="POST",route="/webhooks/clerk",status="200"}': is_(2),
                'http_requests_total{method="POST",route="/v1/users/{user_id}/ban",status="401"}': is_(1),
                'http_requests_total{method="other",route="unmatched",status="404"}': is_(1),
                'http_request_duration_seconds_count{method="GET",route="/v1/me"}': is_(1),
            },
        )
    assert documented("serve") - names(url) == set()
    assert {name for name in names(url) if name.startswith(("auth_", "http_"))} == documented("serve")
    assert "user_1" not in httpx.get(f"{url}/metrics").text


def test_a_user_who_comes_before_the_webhook_counts(running_serve):
    user = sample_user("user_early", now_ms=1_700_000_000_000)
    with http_server(lambda _: Answer(document=user)) as clerk:
        _, url = running_serve(CLERK_SECRET_KEY="sk_test_abc", CLERK_API_URL=clerk.url)
        with httpx.Client(base_url=url, trust_env=False) as http:
            statuses = [http.get("/v1/me", headers=bearer("user_early")).status_code for _ in range(3)]

        assert statuses == [200, 200, 200]
        moved(url, {"auth_users_obtained_total": is_(1)})


async def test_the_numbers_of_a_relay_move(start_relay, users, database_url, topic):
    port = free_port()
    relay = start_relay("--metrics-port", str(port))
    url = f"http://127.0.0.1:{port}"
    await asyncio.to_thread(relay.wait_for, "lanes_held")
    await users.changes(20)

    await asyncio.to_thread(
        moved,
        url,
        {
            "outbox_published_total": above(0),
            "outbox_batch_events_count": above(0),
            "outbox_publish_latency_seconds_count": above(0),
            "outbox_publish_duration_seconds_count": above(0),
            "outbox_delete_duration_seconds_count": above(0),
            "outbox_wake_to_publish_seconds_count": above(0),
            "outbox_lanes_held": is_(LANES),
            "outbox_waiting_events": is_(0),
            "outbox_relay_failing": is_(0),
            "outbox_dead_letters_total": is_(0),
        },
    )
    await users.changes(1)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("ALTER TABLE outbox RENAME TO elsewhere")
        await asyncio.to_thread(
            moved,
            url,
            {
                'outbox_failures_total{cause="PostgreSQL: not migrated"}': above(0),
                "outbox_relay_failing": is_(1),
            },
        )
        await connection.execute("ALTER TABLE elsewhere RENAME TO outbox")
        await asyncio.to_thread(moved, url, {"outbox_relay_failing": is_(0)})
    finally:
        await connection.close()
    written = await asyncio.to_thread(names, url)
    assert {name for name in written if name.startswith("outbox_")} == documented("relay")


async def test_events_that_wait_are_counted_with_their_age(start_relay, users, topic):
    port = free_port()
    await users.changes(3)
    relay = start_relay("--metrics-port", str(port), to=f"{topic}-missing")
    await asyncio.to_thread(relay.wait_for, "events_waiting")

    await asyncio.to_thread(
        moved,
        f"http://127.0.0.1:{port}",
        {
            "outbox_waiting_events": above(2),
            "outbox_oldest_event_age_seconds": above(0),
            "outbox_relay_failing": is_(1),
            'outbox_failures_total{cause="Kafka: topic missing"}': above(0),
        },
    )


def folders(below):
    return [path for path in below.iterdir() if path.name.startswith("auth-service-metrics-")]


def test_what_a_killed_service_left_is_removed_by_the_next_start_and_what_lives_is_not(running_serve, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    killed, _ = running_serve("--workers", "2", TMPDIR=str(temporary))
    [left] = folders(temporary)
    killed.kill()
    assert folders(temporary) == [left]

    living, url = running_serve("--workers", "2", TMPDIR=str(temporary))
    [of_living] = folders(temporary)
    another, _ = running_serve("--workers", "2", TMPDIR=str(temporary))
    both = folders(temporary)

    assert of_living != left
    assert of_living in both
    assert len(both) == 2
    for _ in range(20):
        httpx.get(f"{url}/nowhere")
    assert numbers(url)['http_requests_total{method="GET",route="unmatched",status="404"}'] == 20
    assert another.stop() == 0
    assert living.stop() == 0
    assert folders(temporary) == []


def test_one_worker_needs_no_folder(running_serve, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    running_serve(TMPDIR=str(temporary))

    assert folders(temporary) == []


def test_a_worker_that_died_takes_its_gauges_along_and_leaves_its_counts(running_serve, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    _, url = running_serve("--workers", "2", TMPDIR=str(temporary))
    for _ in range(40):
        httpx.get(f"{url}/nowhere")
    counted = {'http_requests_total{method="GET",route="unmatched",status="404"}': is_(40)}
    moved(url, counted)  # a request is counted when its answer has left
    [folder] = folders(temporary)
    workers = {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livesum_*.db")}
    os.kill(min(workers), signal.SIGKILL)

    moved(url, counted)
    deadline = time.monotonic() + 60
    # The server collects its dead by and by; until then one counts as alive.
    while min(workers) in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livesum_*.db")}:
        assert time.monotonic() < deadline
        moved(url, counted)
        time.sleep(0.1)
