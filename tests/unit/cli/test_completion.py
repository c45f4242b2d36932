"""`auth-service completion`: the script, run by the shell that it is for."""

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


def test_the_script_for_zsh_works_in_a_file_of_the_usual_name_and_when_it_is_sourced(capsys):
    text = script(capsys, "zsh")

    assert "\n_auth-service() {" in text
    assert "compdef _auth-service auth-service" in text
    assert "_cyclopts" not in text


def test_the_script_for_fish_offers_commands_behind_an_option_and_files_for_options_that_name_one(capsys):
    text = script(capsys, "fish")

    assert "__fish_use_subcommand" not in text
    assert "complete -c auth-service -n 'not contains -- -- (commandline -opc)' -f\n" in text
    assert " -l env-file -r -F " in text
    assert " -l log-level -x " in text


def test_a_shell_that_is_not_known_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])

    assert ended.value.code == 2
    assert "bash" in capsys.readouterr().err
