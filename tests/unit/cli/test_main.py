import shlex
import subprocess
import sys

import pytest

from entrypoints.cli.main import COMMANDS, main
from support.web import environment


def output_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    shown = capsys.readouterr()
    return stop.value.code, " ".join((shown.out + shown.err).replace("│", " ").split())


def test_the_list_of_commands_says_what_each_is_for(capsys):
    status, shown = output_of(capsys, "--help")

    assert status == 0
    for name, (_, summary) in COMMANDS.items():
        assert f"{name}: {summary}" in shown


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["serve"], "Kafka is not needed here"),
        (["relay"], "The topic must exist."),
        (["dev"], "Needs no Docker, no Java and no Clerk account"),
        (["demo"], "leaves nothing behind"),
        (["trigger"], "Needs the service's CLERK_WEBHOOK_SECRET"),
        (["token"], "Prints only the token."),
        (["events", "tail"], "joins no consumer group"),
    ],
)
def test_the_help_of_a_command_says_what_it_needs(capsys, command, sentence):
    status, shown = output_of(capsys, *command, "--help")

    assert status == 0
    assert sentence in shown


@pytest.mark.parametrize(
    "command", [[], *([name] for name in COMMANDS), ["topic", "create"], ["events", "tail"]], ids=" ".join
)
def test_piped_help_is_not_filled_up_with_blanks(capsys, command):
    with pytest.raises(SystemExit):
        main([*command, "--help"])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert [line for line in lines if line != line.rstrip() or len(line) > 500] == []


def test_an_unknown_command_is_answered_with_the_known_ones(capsys):
    status, shown = output_of(capsys, "migrat")

    assert status != 0
    assert "migrate" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrat"],
        ["migrate", "--revison", "x"],
        ["users", "bann", "user_a"],
        ["service-key", "new"],
        ["config", "no-such-command"],
        ["trigger", "user.banned"],
        ["topic", "make"],
    ],
    ids=" ".join,
)
def test_what_a_command_cannot_understand_is_status_2(capsys, arguments):
    status, shown = output_of(capsys, *arguments)

    assert status == 2
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "list", "--email", "\udcff"],
        ["users", "set-metadata", "user_a", "--set", "plan=\udcff"],
        ["users", "set-metadata", "user_a", "--patch", '{"plan": "\udcff"}'],
        ["outbox", "discard", "1", "--yes", "--reason", "\udcff"],
        ["events", "tail", "--user", "\udcff"],
        ["relay", "--name", "\udcff"],
        ["trigger", "user.created", "--set", "first_name=\udcff"],
        ["trigger", "--again", "msg_\udcff"],
        ["token", "--org", "org_\udcff"],
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_an_argument_that_is_no_utf_8_is_named(capsys, arguments):
    status, shown = output_of(capsys, *arguments)

    assert status == 2
    assert shown.endswith(f"{arguments[-1].replace(chr(0xDCFF), chr(92) + 'udcff')}: not UTF-8. Nothing was done.")


def test_a_path_may_have_bytes_that_are_no_utf_8(capsys, tmp_path):
    folder = tmp_path / "\udcff"

    status, _ = output_of(capsys, "dev-keys", "--folder", str(folder))

    assert status == 0
    assert (folder / ".env").is_file()


def test_a_wrong_configuration_names_the_variable_and_is_status_78(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "mysql://root:topsecret@db/auth")

    status, shown = output_of(capsys, "migrate")

    assert status == 78
    assert "DATABASE_URL: the scheme is not postgresql://" in shown
    assert "topsecret" not in shown


@pytest.mark.parametrize("arguments", [["dev-keys", "--folder"], ["clerk-stand-in", "--data-dir"]], ids=" ".join)
def test_a_folder_that_cannot_be_used_is_named(capsys, tmp_path, arguments):
    (tmp_path / "file").touch()

    status, shown = output_of(capsys, *arguments, str(tmp_path / "file" / "folder"))

    assert status == 74
    assert str(tmp_path / "file" / "folder") in shown
    assert ": Not a directory." in shown


WRONG = {"DATABASE_URL": "mysql://h/db"}
OUT_OF_REACH = {"DATABASE_URL": "postgresql://a@127.0.0.1:1/b", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}


def in_shell(folder, command, variables):
    """Run a command line of `sh` in which `auth-service` is ours."""
    program = f"{shlex.quote(sys.executable)} -m entrypoints.cli.main --env-file /dev/null"
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("auth-service", program)],
        env={"PATH": "/usr/bin:/bin", **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize(
    ("errors", "command", "variables", "status"),
    [
        ("2>&-", "service-key nope", {}, 2),
        ("2>/dev/full", "service-key nope", {}, 2),
        ("2</dev/null", "service-key nope", {}, 2),
        ("2>&1 | :", "service-key nope", {}, 2),
        ("2>/dev/full", "migrate", WRONG, 78),
        ("2>/dev/full", "users ban user_a user_b --yes", {**OUT_OF_REACH, "CLERK_SECRET_KEY": "sk_test_a"}, 69),
        ("2>&1 | :", "events tail", OUT_OF_REACH, 69),
        ("2>&-", "serve --host 192.0.2.1", environment(), 78),  # what keeps a log
    ],
)
def test_the_status_is_the_same_whatever_becomes_of_stderr(tmp_path, errors, command, variables, status):
    redirection, _, reader = errors.partition(" | ")
    line = f"{{ auth-service {command} {redirection}; echo $? >&3; }}{f' | {reader}' if reader else ''}"

    ended = in_shell(tmp_path, f"exec 3>status; {line}", variables)

    assert (tmp_path / "status").read_text() == f"{status}\n", ended.stderr


@pytest.mark.parametrize(
    ("to", "status", "says"),
    [
        (">/dev/full", 74, "The output cannot be written: No space left on device.\n"),
        (">/dev/full 2>/dev/full", 74, ""),
        (">&-", 0, ""),
        (">&- 2>&- <&-", 0, ""),
    ],
)
@pytest.mark.parametrize("command", ["--help", "openapi"])
def test_output_that_nobody_takes_is_told_unless_it_was_closed(tmp_path, command, to, status, says):
    ended = in_shell(tmp_path, f"auth-service {command} {to}", {})

    assert (ended.returncode, ended.stdout) == (status, "")
    assert ended.stderr == says


def test_no_file_of_the_program_gets_the_number_of_a_closed_stream(tmp_path):
    script = (
        "from entrypoints.cli import standard_streams; standard_streams.make_usable()\n"
        "import sys; print(open('found', 'w').fileno() > 2, file=open('found', 'a'))\n"
        "print('lost'); sys.stdout.flush(); sys.stdin.read()"
    )

    ended = subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.quote(sys.executable)} -c {shlex.quote(script)} <&- >&- 2>&-"],
        cwd=tmp_path,
        check=False,
    )

    assert ended.returncode == 0
    assert (tmp_path / "found").read_text() == "True\n"


def test_ctrl_c_is_handled_before_anything_is_imported():
    """Until then it is a traceback."""
    first = (
        "import _signal, sys\n"
        "before = {*sys.modules}\n"
        "_signal.signal = lambda number, handler: sys.exit(' '.join(sorted({*sys.modules} - before)))\n"
        "import entrypoints.cli.__main__"
    )
    done = subprocess.run([sys.executable, "-c", first], capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr.split() == ["entrypoints", "entrypoints.cli", "entrypoints.cli.__main__"]
