"""The scripts of `auth-service completion` in a zsh and a fish, asked for what they offer behind a line."""

import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.cli.main import COMMANDS
from support.commands import run

PROGRAMS = Path(sys.executable).parent
"""fish completes only commands that are there."""

pytestmark = pytest.mark.programs

# A zsh on a terminal, whose matches are written to a file: zsh offers them in its line editor alone.
ZSH = r"""
zmodload zsh/zpty
zpty shell env TERM=dumb zsh -f -i
zpty -w shell "source ${(q)1}; print '<'ready'>'"
zpty -r shell seen '*<ready>*'
shift
for line in "$@"; do
    zpty -w -n shell "$line"$'\a'
    zpty -r shell seen '*<asked>*'
done
"""
ZSH_SETUP = r"""
autoload -U compinit
compadd() {
    local -a matches
    [[ " $* " == *" -"[OAD]" "* ]] || { builtin compadd -O matches "$@"; print -rn -- " $matches" >> $OFFERED; }
    builtin compadd "$@"
}
ask() { zle complete-word; print >> $OFFERED; BUFFER=; print '<'asked'>'; }
zle -N ask
bindkey '^G' ask
"""
OFFERED = {
    "auth-service us": {"users"},
    "auth-service users h": {"history"},
    "auth-service users history --a": {"--all-partitions"},
    "auth-service dev --re": {"--reload"},
    "auth-service completion ": {"bash", "zsh", "fish"},
    "auth-service --e": {"--env-file"},
    "auth-service --env-file v": {"variables.env"},
    "auth-service --env-file variables.env us": {"users"},
    "auth-service --env-file users outbox st": {"status"},
    "auth-service trigger --data v": {"variables.env"},
    "auth-service serve --log-level ": set(),
    "auth-service config ": set(),
}
FISH = "for line in $argv; echo (complete -C $line | cut -f 1); end"


def zsh(folder, script, lines, *, sourced):
    (folder / "_auth-service").write_text(script)
    load = "compinit -u -D\nsource $FOLDER/_auth-service" if sourced else "fpath=($FOLDER $fpath)\ncompinit -u -D"
    (folder / "setup").write_text(f"{ZSH_SETUP}\n{load}\n")
    offered = folder / "offered"
    subprocess.run(
        ["zsh", "-f", "-c", ZSH, "zsh", folder / "setup", *lines],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "FOLDER": str(folder), "OFFERED": str(offered)},
        cwd=folder,
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    return offered.read_text().split("\n")


def zsh_from_fpath(folder, script, lines):
    return zsh(folder, script, lines, sourced=False)


def zsh_sourced(folder, script, lines):
    return zsh(folder, script, lines, sourced=True)


def fish(folder, script, lines):
    completions = folder / "fish/completions"
    completions.mkdir(parents=True)
    (completions / "auth-service.fish").write_text(script)
    ended = subprocess.run(
        ["fish", "-c", FISH, "--", *lines],
        env={"PATH": f"{PROGRAMS}:/usr/bin:/bin", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "TERM": "dumb"},
        cwd=folder,
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert ended.stderr == ""
    return ended.stdout.split("\n")


@pytest.mark.parametrize("shell", [zsh_from_fpath, zsh_sourced, fish])
def test_a_shell_offers_commands_options_choices_and_files_where_they_belong(shell, tmp_path):
    ended = run("completion", shell.__name__.partition("_")[0], cwd=tmp_path, env={})
    (tmp_path / "variables.env").touch()

    def offered(*lines):
        return [set(line.split()) for line in shell(tmp_path, ended.stdout, lines)]

    commands, users, *others = offered("auth-service ", "auth-service users ", *OFFERED)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {*COMMANDS, "dev", "demo"} <= commands
    assert {"history", "get", "ban"} <= users
    assert "variables.env" not in commands | users
    assert dict(zip(OFFERED, others, strict=False)) == OFFERED
