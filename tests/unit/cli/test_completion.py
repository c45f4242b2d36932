"""`auth-service completion`: the script, run by the shell that it is for."""

import shutil
import subprocess

import pytest

from entrypoints.cli.main import COMMANDS, main

ASKED = """
source "$1"
complete_line() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMPREPLY=()
    "$(complete -p auth-service | sed 's/.*-F \\([^ ]*\\).*/\\1/')" auth-service "${COMP_WORDS[COMP_CWORD]}" \\
        "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[@]}"
}
complete_line auth-service ""
complete_line auth-service users h
complete_line auth-service users history --a
complete_line auth-service dev --re
complete_line auth-service completion ""
complete_line auth-service --e
complete_line auth-service --env-file users outbox --
complete_line auth-service users get --
"""


def script(capsys, shell):
    with pytest.raises(SystemExit) as ended:
        main(["completion", shell])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_bash_completes_commands_their_commands_options_and_choices(capsys, tmp_path):
    (tmp_path / "script").write_text(script(capsys, "bash"))

    ended = subprocess.run(
        ["bash", "--norc", "-c", ASKED, "bash", tmp_path / "script"], capture_output=True, text=True, check=True
    )

    first, users, options, dev, shells, *everywhere = [set(line.split()) for line in ended.stdout.splitlines()]
    assert ended.stderr == ""
    assert {*COMMANDS, "dev", "demo"} <= first
    assert users == {"history"}
    assert "--all-partitions" in options
    assert "--reload" in dev
    assert {"bash", "zsh", "fish"} <= shells
    assert all("--env-file" in each for each in everywhere)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_that_they_can_read(capsys, tmp_path, shell):
    text = script(capsys, shell)
    (tmp_path / "script").write_text(text)

    assert "history" in text
    assert "all-partitions" in text
    if program := shutil.which(shell):
        subprocess.run([program, "-n", tmp_path / "script"], check=True)


def test_a_shell_that_is_not_known_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])

    assert ended.value.code == 2
    assert "bash" in capsys.readouterr().err
