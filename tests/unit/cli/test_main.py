import shlex
import subprocess
import sys

import pytest

from entrypoints.cli.main import COMMANDS, main


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


def test_the_status_is_the_same_when_stderr_is_closed(tmp_path):
    command = f"exec {shlex.quote(sys.executable)} -m entrypoints.cli.main --env-file /dev/null migrate 2>&-"
    environment = {"PATH": "/usr/bin:/bin", "DATABASE_URL": "mysql://h/db"}

    assert subprocess.run(["/bin/sh", "-c", command], env=environment, cwd=tmp_path, check=False).returncode == 78


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
