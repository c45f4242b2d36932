"""`auth-service users …` while Clerk has a bad day: bounded, clear, and nothing half done."""

import asyncio
import time
from pathlib import Path

import pytest

from support.clerk_stand_in import RunningStandIn
from support.users_stage import Stage

pytestmark = pytest.mark.faults

BOUND_S = 45
"""Longer than any command takes while Clerk does not answer; one without a bound of its own would take for ever."""

FAULTS = {
    "storm": {"kind": "status", "status": 429, "retry_after_s": 3600},
    "broken": {"kind": "status", "status": 500},
    "silent": {"kind": "latency", "delay_s": 120},
    "reset": {"kind": "reset", "keep": 0},
    "malformed": {"kind": "malformed"},
}


@pytest.fixture
def stage(database_url: str, tmp_path: Path, clerk_stand_in: RunningStandIn) -> Stage:
    return Stage(database_url, tmp_path, clerk_stand_in)


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_outage_ends_in_bounded_time_with_its_own_status_and_nothing_is_changed_here(stage, fault):
    await stage.sign_up("user_ada")
    await stage.sign_up("user_bob")
    before = await stage.rows("SELECT id, version, deleted_at FROM users ORDER BY id"), await stage.events()
    stage.clerk.fails(**FAULTS[fault])
    started = time.monotonic()

    answers = await asyncio.gather(
        stage.run("delete", "user_ada", "user_bob", "--yes"),
        stage.run("sync", "user_ada", "--yes"),
        stage.run("list", "--at-clerk"),
    )

    assert time.monotonic() - started < BOUND_S
    for answer in answers:
        assert answer.returncode == 69, answer.stderr
        assert answer.stdout == ""
        assert "Traceback" not in answer.stderr
        assert stage.clerk.secret_key not in answer.stderr
    deleted = answers[0].stderr.splitlines()
    assert deleted[0].startswith("user_ada: ")
    assert deleted[0].endswith("; trying again is safe")
    assert deleted[1] == "user_bob: not tried"
    stage.clerk.faults.clear()
    assert (await stage.rows("SELECT id, version, deleted_at FROM users ORDER BY id"), await stage.events()) == before


async def test_an_action_whose_answer_was_lost_is_finished_by_doing_it_again(stage):
    await stage.sign_up("user_ada")
    stage.clerk.fails("reset", keep=0, carried_out=True, method="DELETE")
    lost = await stage.run("delete", "user_ada", "--yes")
    stage.clerk.faults.clear()

    again, status = await stage.json("delete", "user_ada", "--yes")

    assert lost.returncode in {0, 69}, lost.stderr
    assert status == 0
    assert again[0]["outcome"] in {"deleted", "unchanged"}
    assert [event for event in await stage.events() if event[2] == "deleted"] == [("user_ada", 2, "deleted")]


async def test_a_fault_that_passes_is_not_noticed(stage):
    await stage.sign_up("user_ada")
    stage.clerk.fails("status", status=429, retry_after_s=1, times=1)

    done, status = await stage.json("ban", "user_ada", "--yes")

    assert (status, done[0]["outcome"]) == (0, "updated")


async def test_a_user_that_is_deleted_at_clerk_meanwhile_is_no_such_user_and_not_an_outage(stage):
    await stage.sign_up("user_ada")
    await stage.sign_up("user_bob")
    with stage.clerk.instance.quietly():
        stage.clerk.instance.delete("user_ada")

    answer = await stage.run("ban", "user_ada", "user_bob", "--yes")

    assert answer.returncode == 67
    assert answer.stderr.startswith("user_ada: ")
    assert answer.stdout.startswith("user_bob: banned")


async def test_a_wrong_key_is_told_and_not_shown(stage):
    await stage.sign_up("user_ada")

    answer = await stage.run("ban", "user_ada", "--yes", CLERK_SECRET_KEY="sk_test_wrongwrongwrong")

    assert answer.returncode == 78
    assert "CLERK_SECRET_KEY" in answer.stderr
    assert "wrongwrong" not in answer.stderr


async def test_what_clerk_refuses_is_told_in_its_words(stage):
    await stage.sign_up("user_ada")
    stage.clerk.fails("status", status=402, path="/v1/users/user_ada/ban")

    answer = await stage.run("ban", "user_ada", "--yes")

    assert answer.returncode == 77
    assert answer.stderr.startswith("user_ada: Clerk refuses: ")
