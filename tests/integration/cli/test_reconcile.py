"""`auth-service reconcile` as an operator runs it: a real database, Clerk's stand-in over HTTP, and the real SDK."""

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from devkit.fake_clerk.deliveries import Disorder
from devkit.servers.ports import free_port
from support.clerk_stand_in import RunningStandIn
from support.processes import serve
from support.reconcile_stage import Stage, found


@pytest.fixture
def stage(database_url: str, clerk_stand_in: RunningStandIn, tmp_path: Path) -> Stage:
    return Stage(database_url, clerk_stand_in, tmp_path)


async def test_the_first_import_the_drift_of_lost_webhooks_and_webhooks_meanwhile_end_in_clerks_state(stage):
    instance = stage.clerk.instance
    ids = instance.seed(2000)
    imported = stage.summary()

    assert (imported["result"], imported["listed"], found(imported)) == ("repaired", 2000, {"missing": 2000})
    assert await stage.events() == Counter(dict.fromkeys(((user_id, "created") for user_id in ids), 1))

    await stage.rows("TRUNCATE outbox")
    with instance.quietly():
        stale, gone = ids[0:2000:100], ids[50:2000:100]
        missing = [instance.create(first_name=f"Missing {number}")["id"] for number in range(20)]
        for user_id in stale:
            instance.update(user_id, first_name="Stale")
        for user_id in gone:
            instance.delete(user_id)
    flowing = [user_id for user_id in ids[1:2000:10] if user_id not in {*stale, *gone}]
    port = free_port()
    with serve(stage.folder, stage.database_url, port):
        _wait_until_it_answers(port)
        stage.clerk.send_webhooks_to(f"http://127.0.0.1:{port}/webhooks/clerk")
        stage.clerk.webhooks.disorder = Disorder(duplicate_share=0.1, reorder_share=0.5, reorder_within_s=0.3, seed=1)
        life = threading.Thread(target=_live, args=(instance, flowing))
        life.start()
        repaired = stage.summary("--report", "report.jsonl")
        life.join()
        stage.clerk.wait_for_webhooks(60)

    events = await stage.events()
    assert await stage.living() == stage.at_clerk()
    assert {user_id for user_id, profile in (await stage.here()).items() if profile is None} >= set(gone)
    assert {key: events[key] for key in events if key[0] in {*stale, *gone, *missing}} == {
        **{(user_id, "updated"): 1 for user_id in stale},
        **{(user_id, "deleted"): 1 for user_id in gone},
        **{(user_id, "created"): 1 for user_id in missing},
    }
    # Each of these was changed once, and deleted or not: no more events than changes.
    assert {key for key in events if key[0] in flowing} <= {
        (u, kind) for u in flowing for kind in ("updated", "deleted")
    }
    assert set(events.values()) == {1}
    assert {user_id for user_id, _ in events} <= {*stale, *gone, *missing, *flowing, *instance.user_ids()}
    # A deletion that its webhook has not told yet counts as one that was lost.
    deleted = {user_id for user_id in flowing if (user_id, "deleted") in events}
    assert len(gone) <= repaired["differences"]["gone"]["repaired"] <= len({*gone, *deleted})

    lines = [json.loads(line) for line in (stage.folder / "report.jsonl").read_text().splitlines()]
    assert lines[-1]["summary"]["result"] == "repaired"
    assert {line["user"] for line in lines[:-1]} >= {*stale, *gone, *missing}
    again = stage.summary()
    assert (again["result"], again["moved"]) == ("equal", 0)
    assert await stage.events() == events


async def test_a_dry_run_tells_what_differs_and_writes_nothing(stage):
    ids = stage.clerk.instance.seed(30)
    stage.summary()
    before = await stage.here()
    with stage.clerk.instance.quietly():
        stage.clerk.instance.update(ids[3], first_name="Grace")
        stage.clerk.instance.delete(ids[4])
        stage.clerk.instance.create()

    dry = stage.summary("--dry-run", "--report", "dry.jsonl", status=1)
    shown = stage.run("--dry-run")

    assert (dry["result"], found(dry)) == ("different", {"missing": 1, "stale": 1, "gone": 1})
    assert await stage.here() == before
    assert {"user": ids[3], "difference": "stale", "repaired": False, "detail": "first_name"} in [
        json.loads(line) for line in (stage.folder / "dry.jsonl").read_text().splitlines()
    ]
    assert shown.returncode == 1
    assert "Nothing was written" in shown.stdout
    assert "here, no longer at Clerk" in shown.stdout
    assert stage.summary()["result"] == "repaired"


async def test_thousands_of_users_created_in_one_millisecond_are_all_compared(stage):
    ids = stage.clerk.instance.seed(1200, step_ms=0)
    assert found(stage.summary()) == {"missing": 1200}
    with stage.clerk.instance.quietly():
        for user_id in ids[::100]:
            stage.clerk.instance.delete(user_id)

    assert found(stage.summary()) == {"gone": 12}
    assert await stage.living() == stage.at_clerk()


async def test_a_user_that_cannot_be_read_is_told_and_takes_nothing_from_the_others(stage):
    ids = stage.clerk.instance.seed(20)
    stage.summary()
    with stage.clerk.instance.quietly():
        stage.clerk.instance.set_fields(ids[3], first_name=["nonsense"])
        stage.clerk.instance.update(ids[4], first_name="Grace")

    summary = stage.summary("--report", "report.jsonl", status=1)

    assert found(summary) == {"stale": 1, "unreadable": 1}
    assert summary["left"] == 1
    assert ids[3] in await stage.living()
    assert "nonsense" not in (stage.folder / "report.jsonl").read_text()


async def test_since_reads_what_changed_lately_and_says_what_it_cannot_find(stage):
    ids = stage.clerk.instance.seed(600)
    stage.summary()
    with stage.clerk.instance.quietly():
        stage.clerk.instance.update(ids[3], first_name="Grace")
        stage.clerk.instance.delete(ids[4])

    since = stage.summary("--since", "1m")
    shown = stage.run("--since", "1m")

    assert (found(since), since["looked_for_gone"]) == ({"stale": 1}, False)
    assert since["listed"] < 100
    assert "who is gone at Clerk was not looked for" in shown.stdout
    assert ids[4] in await stage.living()


async def test_one_user_can_be_repaired_alone(stage):
    ids = stage.clerk.instance.seed(20)
    stage.summary()
    with stage.clerk.instance.quietly():
        for user_id in ids[3:5]:
            stage.clerk.instance.update(user_id, first_name="Grace")
        stage.clerk.instance.delete(ids[5])

    assert found(stage.summary("--user", ids[3])) == {"stale": 1}
    assert found(stage.summary("--user", ids[5])) == {"gone": 1}
    assert found(stage.summary()) == {"stale": 1}


async def test_two_at_once_do_no_harm(stage):
    ids = stage.clerk.instance.seed(1500)
    stage.summary()
    await stage.rows("TRUNCATE outbox")
    with stage.clerk.instance.quietly():
        for user_id in ids[:40]:
            stage.clerk.instance.update(user_id, first_name="Grace")
        for user_id in ids[40:80]:
            stage.clerk.instance.delete(user_id)

    both = await asyncio.gather(*(asyncio.to_thread(stage.summary) for _ in range(2)))

    assert {summary["left"] for summary in both} == {0}
    assert await stage.living() == stage.at_clerk()
    assert await stage.events() == Counter(
        [*((user_id, "updated") for user_id in ids[:40]), *((user_id, "deleted") for user_id in ids[40:80])]
    )


def _live(instance: Any, users: list[str]) -> None:
    for number, user_id in enumerate(users):
        instance.update(user_id, first_name=f"Flow {number}")
        if number % 20 == 0:
            instance.delete(user_id)
        if number % 20 == 1:
            instance.create(first_name=f"New {number}")
        time.sleep(0.01)


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
