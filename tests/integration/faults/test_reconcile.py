"""`auth-service reconcile` while Clerk fails, is another one, or the process ends in the middle."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devkit.fake_clerk.rate_limits import RateLimits
from support.clerk_stand_in import RunningStandIn, running_stand_in
from support.processes import running
from support.reconcile_stage import Stage, found

pytestmark = pytest.mark.faults

USERS = "/v1/users"


@pytest.fixture
def stage(database_url: str, clerk_stand_in: RunningStandIn, tmp_path: Path) -> Stage:
    return Stage(database_url, clerk_stand_in, tmp_path)


def first_page_asked(clerk: RunningStandIn, *, after: int) -> str:
    return next(asked.target for asked in clerk.requests[after:] if asked.target.startswith(f"{USERS}?"))


def _delete_all(clerk: RunningStandIn) -> None:
    _delete(clerk, clerk.instance.count())


def _delete(clerk: RunningStandIn, count: int) -> None:
    for user_id in clerk.instance.user_ids()[:count]:
        clerk.instance.delete(user_id)


def _replace_all(clerk: RunningStandIn) -> None:
    _delete_all(clerk)
    clerk.instance.seed(100, seed=2)


def _replace_some(clerk: RunningStandIn) -> None:
    _delete(clerk, 11)
    clerk.instance.seed(50, seed=2)


FAULTS = (
    {"kind": "status", "status": 429, "retry_after_s": 1},
    {"kind": "status", "status": 500},
    {"kind": "html", "status": 502},
    {"kind": "reset"},
    {"kind": "truncated"},
    {"kind": "malformed"},
)


async def test_what_passes_is_waited_out(stage):
    ids = stage.clerk.instance.seed(1100)
    stage.summary()
    with stage.clerk.instance.quietly():
        stage.clerk.instance.update(ids[700], first_name="Grace")
        stage.clerk.instance.delete(ids[800])
    for skip, fault in enumerate(FAULTS):
        stage.clerk.fails(path=USERS, skip=skip, times=1, **fault)

    assert found(stage.summary()) == {"stale": 1, "gone": 1}
    assert [hits for _, hits in stage.clerk.faults.hits()] == [1] * len(FAULTS)
    assert await stage.living() == stage.at_clerk()


async def test_a_tight_rate_limit_is_kept_to(database_url, tmp_path):
    with running_stand_in(limits=RateLimits(requests=8, changes_per_user=None, window_s=1)) as clerk:
        stage = Stage(database_url, clerk, tmp_path)
        ids = clerk.instance.seed(600)
        stage.summary()
        with clerk.instance.quietly():
            for user_id in ids[100:120]:
                clerk.instance.delete(user_id)

        assert found(stage.summary()) == {"gone": 20}
        assert await stage.living() == stage.at_clerk()


async def test_an_outage_that_lasts_stops_the_run_and_the_next_one_goes_on(stage):
    ids = stage.clerk.instance.seed(2000)
    with stage.clerk.instance.quietly():
        stage.clerk.instance.update(ids[10], first_name="Grace")
    # The check, and the first two pages, are answered.
    stage.clerk.fails("status", status=503, path=USERS, exact=True, skip=2)

    stopped = stage.summary("--patience", "1", status=75)
    asked = len(stage.clerk.requests)
    stage.clerk.faults.clear()
    resumed = stage.summary()

    assert (stopped["result"], stopped["listed"], stopped["resumed"]) == ("stopped", 999, False)
    assert (resumed["result"], resumed["listed"], resumed["resumed"]) == ("repaired", 2000, True)
    assert found(resumed) == {"missing": 2000}
    assert "created_at_after" in first_page_asked(stage.clerk, after=asked)
    assert await stage.living() == stage.at_clerk()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_a_run_that_is_killed_or_interrupted_is_gone_on_with(stage, number):
    stage.clerk.instance.seed(3500)
    stage.clerk.fails("latency", delay_s=0.5, path=USERS, exact=True)

    with running(
        stage.folder, "reconcile", "--yes", "--json", "--report", "report.jsonl", **stage.variables
    ) as process:
        await _until(stage, "SELECT 1 FROM reconcile_checkpoint WHERE state IS NOT NULL")
        process.popen.send_signal(number)
        status = process.popen.wait(20)
    asked = len(stage.clerk.requests)
    stage.clerk.faults.clear()
    resumed = stage.summary("--report", "report.jsonl")

    assert status == (-9 if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        assert '"result": "stopped", "reason": "interrupted"' in process.text()
    assert (resumed["resumed"], resumed["listed"], resumed["result"]) == (True, 3500, "repaired")
    assert "created_at_after" in first_page_asked(stage.clerk, after=asked)
    assert await stage.living() == stage.at_clerk()
    assert set((await stage.events()).values()) == {1}
    assert await stage.rows("SELECT 1 FROM reconcile_checkpoint") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_delete_all, "no user at all"),
        (_replace_all, "none of those we looked up"),
        (_replace_some, "more than 10 of the 40 users"),
    ],
    ids=["empty", "another", "too many gone"],
)
async def test_what_looks_like_the_wrong_clerk_deletes_nobody(
    stage, change: Callable[[RunningStandIn], object], says: str
):
    stage.clerk.instance.seed(40)
    stage.summary()
    with stage.clerk.instance.quietly():
        change(stage.clerk)

    summary = stage.summary(status=65)
    shown = stage.run()

    assert says in summary["reason"]
    assert "--allow-deletes" in shown.stdout
    assert len(await stage.living()) >= 40
    assert all(kind == "created" for _, kind in await stage.events())


async def test_so_many_are_deleted_when_somebody_says_so(stage):
    stage.clerk.instance.seed(20)
    stage.summary()
    with stage.clerk.instance.quietly():
        _delete(stage.clerk, 15)

    assert stage.run().returncode == 65
    assert found(stage.summary("--allow-deletes", "15")) == {"gone": 15}
    assert await stage.living() == stage.at_clerk()


async def test_a_key_that_clerk_refuses_changes_nothing(stage):
    stage.clerk.instance.seed(5)

    done = stage.run(CLERK_SECRET_KEY="sk_test_wrong")

    assert done.returncode == 69
    assert "sk_test_wrong" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert await stage.here() == {}


async def test_a_database_that_is_not_there_or_not_migrated_stops_the_run(stage, empty_database):
    stage.clerk.instance.seed(5)

    gone = stage.run("--patience", "0", DATABASE_URL="postgresql://nobody:hush@127.0.0.1:1/none")
    empty = stage.run("--patience", "0", DATABASE_URL=empty_database)

    assert (gone.returncode, empty.returncode) == (75, 75)
    assert "hush" not in gone.stdout + gone.stderr
    assert "Traceback" not in gone.stderr + empty.stderr
    assert "not migrated" in empty.stdout


async def _until(stage: Stage, statement: str) -> None:
    deadline = time.monotonic() + 30
    while not await stage.rows(statement):
        assert time.monotonic() < deadline
