"""What people and shells see: on terminals of several widths, in pipes, and where a question is asked."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import PostgresOutbox
from application.relay.lanes import LANES
from application.relay.messages import RefusedMessage
from support.clerk_stand_in import RunningStandIn
from support.terminal import on_terminal, terminal
from support.users_stage import Stage

LONG = "user_" + "3MmGlxrWq0" * 12 + "abc"
EMAIL = "a.rather.long.name.of.somebody@department-of-engineering.example.org"
BOX = re.compile("[\u2500-\u257f]")
LOUD = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "FORCE_COLOR": "3",
    "TTY_COMPATIBLE": "1",
    "TERM": "xterm-256color",
    "COLUMNS": "20",
}
"""What makes programs write colours and short lines into a pipe."""


@pytest.fixture
async def stage(database_url: str, tmp_path: Path, clerk_stand_in: RunningStandIn) -> Stage:
    """Two users, and a dead letter of one of them."""
    stage = Stage(database_url, tmp_path, clerk_stand_in)
    await stage.sign_up(LONG, email_address=[EMAIL], first_name="Ada Augusta", last_name="King of Lovelace")
    await stage.sign_up("user_b", email_address=["b@example.org"])
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
    outbox = PostgresOutbox(engine)
    waiting = await outbox.oldest(range(LANES), 10)
    await outbox.move_to_dead_letters(
        [RefusedMessage(item, "auth.user.events.v1: MessageSizeTooLargeError", 2) for item in waiting[:1]]
    )
    await engine.dispose()
    return stage


@contextmanager
def silent_server() -> Iterator[tuple[int, threading.Event]]:
    """Listen, take what comes, and never answer; yields the port, and what is set when somebody has come."""
    connected = threading.Event()
    kept = []

    def take() -> None:
        with contextlib.suppress(OSError):
            while True:
                kept.append(listener.accept())
                connected.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=take, daemon=True).start()
        yield listener.getsockname()[1], connected
        listener.shutdown(socket.SHUT_RDWR)
    for connection, _ in kept:
        connection.close()


def variables(stage: Stage, **more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": stage.database_url,
        "CLERK_SECRET_KEY": stage.clerk.secret_key,
        "CLERK_API_URL": stage.clerk.url,
        "PORT": "1",  # nobody answers there
        **more,
    }


async def at_terminal(stage: Stage, *arguments: str, columns: int = 80, **more: str) -> tuple[int, str]:
    return await asyncio.to_thread(
        on_terminal, stage.folder, *arguments, columns=columns, variables=variables(stage, **more)
    )


async def run(stage: Stage, command: str, **more: Any):
    """Run any command, as the stage runs `users`."""
    words = shlex.split(command)
    assert words[0] in {"users", "outbox", "config", "doctor", "reconcile"}
    return await stage.run(*words[1:], command=words[0], PORT="1", **more)


@pytest.mark.parametrize(
    ("columns", "more"),
    [(40, {}), (80, {}), (250, {}), (40, {"TERM": "dumb", "NO_COLOR": "1"}), (80, {"COLUMNS": "0"})],
)
async def test_on_a_terminal_ids_and_addresses_are_whole(stage, columns, more):
    for arguments in (("list",),) if more else (("list",), ("list", "--at-clerk"), ("get", LONG)):
        status, text = await at_terminal(stage, "users", *arguments, columns=columns, **more)

        assert status == 0, text
        assert LONG in text
        assert EMAIL in text
        assert not BOX.search(text)
        assert all(name in text for name in ("id", "email", "updated"))


@pytest.mark.parametrize("columns", [40, 80])
async def test_on_a_terminal_nothing_of_the_other_commands_is_cut(stage, columns):
    (dead,) = await stage.rows("SELECT key FROM outbox_dead")
    _, letters = await at_terminal(stage, "outbox", "dead", columns=columns)
    _, status = await at_terminal(stage, "outbox", "status", columns=columns)
    _, config = await at_terminal(stage, "config", columns=columns)
    _, doctor = await at_terminal(stage, "doctor", columns=columns, DATABASE_URL="")

    assert dead[0] in letters
    assert "auth.user.events.v1: MessageSizeTooLargeError" in letters
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", letters)
    assert "relays alive" in status
    assert "CLERK_AUTHORIZED_PARTIES" in config
    assert "DATABASE_URL=postgresql://auth:secret@localhost:5432/auth" in doctor
    assert not BOX.search(letters + status + config + doctor)


@pytest.mark.parametrize(
    "command", ["users list", "users list --at-clerk", f"users get {LONG}", "outbox dead", "config", "doctor"]
)
async def test_piped_it_is_tab_separated_whatever_the_environment_says(stage, command):
    answers = [await run(stage, command, **more) for more in ({}, LOUD)]
    # How old and how large something is differs from one run to the next.
    plain, loud = [re.sub(r"\d+(?:\.\d+)?", "0", answer.stdout) for answer in answers]
    header, *rows = [line.split("\t") for line in plain.splitlines()]

    assert loud == plain
    assert all(header)
    assert rows
    assert {len(row) for row in rows} == {len(header)}
    assert "\x1b" not in plain
    assert not BOX.search(answers[0].stdout)
    assert all("\x1b" not in answer.stderr for answer in answers)


async def test_awk_and_grep_read_what_is_piped(stage):
    ids = await stage.run("list", through="awk -F'\\t' 'NR > 1 { print $1, $3 }'")
    banned = await stage.run("ban", "user_b", "--yes")
    found = await stage.run("list", through="grep -P '\\tbanned,unverified\\t|\\tbanned\\t' | cut -f1")

    assert ids.stdout == f"{LONG} {EMAIL}\nuser_b b@example.org\n"
    assert banned.stdout == "user_b: banned (version 2)\n"
    assert found.stdout == "user_b\n"


async def test_json_is_json_whatever_the_environment_says(stage):
    for command in ("users list --json", f"users get {LONG} --json", "outbox dead --json", "outbox status --json"):
        answer = await run(stage, command, **LOUD)
        assert [json.loads(line, parse_constant=pytest.fail) for line in answer.stdout.splitlines()], command
    for command in ("config --json", "doctor --json", "reconcile --dry-run --json"):
        answer = await run(stage, command, **LOUD)
        assert json.loads(answer.stdout, parse_constant=pytest.fail), command


async def test_a_reader_that_leaves_ends_it_quietly(stage):
    reading, writing = os.pipe()
    os.close(reading)
    for command in ("users list", "users list --json", "outbox status", "config", "--help"):
        words = shlex.split(command)
        answer = await stage.run(*words[1:], command=words[0], to=writing, PORT="1")

        assert (answer.returncode, answer.stderr) == (141, ""), command
    os.close(writing)


async def test_a_full_disk_is_told_in_one_line(stage):
    full = os.open("/dev/full", os.O_WRONLY)
    answer = await stage.run("list", to=full)
    os.close(full)

    assert answer.returncode == 74
    assert answer.stderr == "The output cannot be written: No space left on device.\n"


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_an_action_whose_result_cannot_be_written_is_named_and_the_last_one(stage, options):
    full = os.open("/dev/full", os.O_WRONLY)
    answer = await stage.run("ban", "user_b", LONG, "--yes", *options, to=full)
    os.close(full)
    banned = await stage.run("list", "--banned")

    assert answer.returncode == 74
    assert answer.stderr == (
        "user_b: done, but the result cannot be written; users named after it were not tried.\n"
        "The output cannot be written: No space left on device.\n"
    )
    assert [line.split("\t")[0] for line in banned.stdout.splitlines()[1:]] == ["user_b"]


DESTRUCTIVE = [
    ("users ban user_b", "Ban user_b?"),
    ("users lock user_b", "Lock user_b?"),
    ("users delete user_b", "Delete user_b"),
    ("users revoke-sessions user_b", "End all sessions of user_b?"),
    ("users sync user_b", "Read user_b from Clerk?"),
    ("outbox discard 1 --reason why", "Discard dead letter 1?"),
    ("migrate --revision base", "Drop all tables"),
    ("reconcile --user user_b", "Delete 1 user whom Clerk does not have here, for ever?"),
]


@pytest.mark.parametrize(("command", "question"), DESTRUCTIVE, ids=[command for command, _ in DESTRUCTIVE])
async def test_what_destroys_asks_does_nothing_without_a_yes_and_does_it_with_one(stage, command, question):
    words = command.split()
    if words[0] == "reconcile":
        with stage.clerk.instance.quietly():
            stage.clerk.instance.delete("user_b")
        words += ["--allow-deletes", "1"]

    async def everything():
        tables = await stage.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = await stage.rows("SELECT to_jsonb(users) FROM users ORDER BY id")
        letters = await stage.rows("SELECT to_jsonb(outbox_dead) FROM outbox_dead")
        return tables, rows, letters

    before = await everything()
    if command.startswith("outbox"):
        ((number,),) = await stage.rows("SELECT id FROM outbox_dead")
        words[2] = str(number)
        question = f"Discard dead letter {number}?"

    refused = await stage.run(*words[1:], command=words[0])
    assert refused.returncode == 2
    assert "confirm with --yes. Nothing was done.\n" in refused.stderr
    assert refused.stdout == ""
    status, text = await asyncio.to_thread(_answered, stage, words, "n\n")
    assert question in text
    assert status == (1 if words[0] == "reconcile" else 2), text
    if words[0] != "users" or words[1] == "ban":
        status, text = await asyncio.to_thread(_answered, stage, words, "\x03")
        assert status == 130
        assert "Traceback" not in text
    assert await everything() == before

    status, text = await asyncio.to_thread(_answered, stage, words, "y\n")
    assert status == 0, text


def _answered(stage: Stage, words: list[str], answer: str) -> tuple[int, str]:
    with terminal(stage.folder, *words, variables=variables(stage)) as running:
        running.read_until(lambda text: "[y/N] " in text)
        running.press(answer)
        return running.end(), running.text


@pytest.mark.parametrize("command", ["users ban user_b --yes", "outbox retry 1", "migrate", "reconcile --since 1h"])
async def test_what_destroys_nothing_or_was_confirmed_does_not_ask(stage, command):
    words = command.split()
    answer = await stage.run(*words[1:], command=words[0])

    assert "--yes" not in answer.stderr


async def test_a_question_for_scripts_goes_past_standard_output(stage):
    """Standard output may be a pipe while a person answers."""
    command = f"{shlex.join(['users', 'ban', 'user_b', '--json'])}"
    with terminal(stage.folder, *command.split(), variables=variables(stage)) as running:
        running.read_until(lambda text: "[y/N] " in text)
        running.press("yes\n")
        assert running.end() == 0
    assert json.loads(running.text.splitlines()[-1])["user"]["banned"] is True


@pytest.mark.parametrize(
    "command", ["outbox status --watch", "users list", "doctor", "migrate", "reconcile --dry-run", "events tail"]
)
async def test_ctrl_c_ends_every_command_with_130_and_without_a_traceback(stage, command):
    with silent_server() as (port, connected):
        address = f"postgresql://a:b@127.0.0.1:{port}/c"
        more = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
        if command != "outbox status --watch":
            more["DATABASE_URL"] = address

        def press() -> tuple[int, str]:
            with terminal(stage.folder, *command.split(), variables=variables(stage, **more)) as running:
                if command == "outbox status --watch":
                    running.read_until(lambda text: "relays alive" in text)
                else:
                    connected.wait(30)
                running.press("\x03")
                return running.end(), running.text

        status, text = await asyncio.to_thread(press)

    assert status == 128 + signal.SIGINT, text
    assert "Traceback" not in text
