"""`auth-service users`: what is refused, asked, missing or interrupted."""

import asyncio
import os
import signal

import pytest

from devkit.servers.data_dir import locked
from support.terminal import terminal


@pytest.mark.parametrize("action", ["ban", "lock", "delete", "revoke-sessions", "sync"])
async def test_what_cannot_be_asked_on_a_terminal_must_be_confirmed_on_the_command_line(stage, action):
    await stage.sign_up("user_ada")
    asked = len(stage.clerk.requests)

    answer = await stage.run(action, "user_ada")

    assert answer.returncode == 2
    assert "--yes" in answer.stderr
    assert "Nothing was done" in answer.stderr
    assert len(stage.clerk.requests) == asked


@pytest.mark.parametrize(
    "arguments",
    [
        ["get"],
        ["ban", "--yes"],
        ["get", "ada"],
        ["ban", "user_a", "../sessions/x", "--yes"],
        ["delete", "user_a/..", "--yes"],
        ["list", "--after", "ada"],
        ["list", "--email", "a@b", "--banned"],
        ["list", "--at-clerk", "--banned"],
        ["set-metadata", "user_a"],
        ["set-metadata", "user_a", "--set", "plan"],
        ["set-metadata", "user_a", "--set", "=1"],
        ["set-metadata", "user_a", "--patch", "[]"],
        ["set-metadata", "user_a", "--patch", "{"],
        ["set-metadata", "user_a", "--patch", "{}"],
    ],
    ids=" ".join,
)
async def test_wrong_usage_is_refused_before_anybody_is_asked(stage, arguments):
    answer = await stage.run(*arguments, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert stage.clerk.requests == []


async def test_reading_needs_no_clerk_and_acting_says_that_it_does(stage):
    await stage.sign_up("user_ada")

    shown = await stage.run("get", "user_ada", CLERK_SECRET_KEY="")
    listed = await stage.run("list", CLERK_SECRET_KEY="")
    acted = await stage.run("ban", "user_ada", "user_b", "--yes", CLERK_SECRET_KEY="")
    at_clerk = await stage.run("list", "--at-clerk", CLERK_SECRET_KEY="")

    assert (shown.returncode, listed.returncode) == (0, 0)
    assert (acted.returncode, at_clerk.returncode) == (78, 78)
    assert "CLERK_SECRET_KEY" in acted.stderr
    assert "user_b: not tried" in acted.stderr


async def test_without_a_database_nothing_is_done_and_nothing_secret_is_said(stage):
    stage.clerk.instance.create("user_ada")
    for arguments in (["get", "user_ada"], ["list"], ["ban", "user_ada", "--yes"], ["sync", "user_ada", "--yes"]):
        answer = await stage.run(*arguments, DATABASE_URL="postgresql://nobody:hush@127.0.0.1:1/none")

        assert answer.returncode == 69, arguments
        assert "DATABASE_URL" in answer.stderr
        assert "hush" not in answer.stderr + answer.stdout
        assert "Traceback" not in answer.stderr


async def test_without_a_database_url_the_variable_is_named(stage):
    answer = await stage.run("list", DATABASE_URL="")

    assert answer.returncode == 78
    assert "DATABASE_URL: missing" in answer.stderr
    assert "CLERK" not in answer.stderr


async def test_the_settings_of_a_dev_that_runs_are_found_and_of_one_elsewhere_by_its_file(stage):
    await stage.sign_up("user_ada")
    (stage.folder / "var" / "dev").mkdir(parents=True)
    (stage.folder / "var" / "dev" / "dev.env").write_text(
        f'DATABASE_URL="{stage.database_url}"\nCLERK_SECRET_KEY="{stage.clerk.secret_key}"\nCLERK_API_URL="{stage.clerk.url}"\n'
    )
    none = {"DATABASE_URL": "", "CLERK_SECRET_KEY": "", "CLERK_API_URL": ""}

    with locked(stage.folder / "var" / "dev", "auth-service dev"):
        answer = await stage.run("ban", "user_ada", "--yes", **none)
    ended = await stage.run("ban", "user_ada", "--yes", **none)
    named = await stage.run("unban", "user_ada", "--env-file", "var/dev/dev.env", **none)

    assert answer.returncode == 0, answer.stderr
    assert ended.returncode == 78
    assert "Or start `auth-service dev`" in ended.stderr
    assert named.returncode == 0, named.stderr


@pytest.mark.parametrize(
    ("answer", "status", "banned"),
    [("n\n", 2, False), ("\n", 2, False), ("yess\n", 2, False), ("\x04", 2, False), (" Y \n", 0, True)],
)
async def test_on_a_terminal_it_asks(stage, answer, status, banned):
    await stage.sign_up("user_ada")
    variables = {"DATABASE_URL": stage.database_url, **stage.clerk.environment}

    def ask() -> tuple[int, str]:
        with terminal(stage.folder, "users", "ban", "user_ada", variables=variables) as running:
            running.read_until(lambda text: "[y/N] " in text)
            running.press(answer)
            return running.end(), running.text

    ended, text = await asyncio.to_thread(ask)

    assert "Ban user_ada? All their sessions end, and they cannot sign in until unbanned. [y/N]" in text
    assert ended == status
    assert ("Nothing was done." in text) is not banned
    assert stage.clerk.instance.get("user_ada")["banned"] is banned


async def test_a_reader_that_has_seen_enough_is_no_error(stage):
    for number in range(20):  # more than a pipe holds
        await stage.sign_up(f"user_{number}", public_metadata={"text": "x" * 8000})

    ended = await stage.run("list", "--json", through="head -c 10")

    assert (len(ended.stdout), ended.stderr) == (10, "")


async def test_an_interruption_says_what_was_done(stage):
    await stage.sign_up("user_ada")
    await stage.sign_up("user_bob")
    stage.clerk.fails("latency", delay_s=60, path="/v1/users/user_bob")

    async def interrupt(pid: int) -> None:
        while not any(asked.target.startswith("/v1/users/user_bob") for asked in stage.clerk.requests):
            await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGINT)

    ended = await stage.run("unban", "user_ada", "user_bob", meanwhile=interrupt)

    assert ended.returncode == 130
    assert ended.stdout.startswith("user_ada: not banned")
    assert ended.stderr == "Interrupted; what was done is said above.\n"
