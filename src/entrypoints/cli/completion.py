"""`auth-service completion`: commands and options, completed by the shell."""

from typing import Literal

from entrypoints.cli.main import app_for, with_env_file

_ZSH = """
if [[ $funcstack[1] == _auth-service ]]; then
  _auth-service "$@"
else
  compdef _auth-service auth-service
fi
"""
_FISH = "complete -c auth-service -n 'not contains -- -- (commandline -opc)' -f"


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that completes commands and options in your shell. Needs no configuration.

    Write it to ~/.local/share/bash-completion/completions/auth-service, to `_auth-service` in a folder of zsh's $fpath,
    or to ~/.config/fish/completions/auth-service.fish; again after an upgrade.
    """
    print(_mended(shell, with_env_file(app_for(()), lambda: None).generate_completion(shell=shell)))


def _mended(shell: str, script: str) -> str:
    if shell == "zsh":
        # cyclopts' function works in a file of its own name alone; sourced, it would not be registered.
        return script.replace("_cyclopts_auth-service", "_auth-service") + _ZSH
    if shell == "fish":
        # fish's own condition takes the value of --env-file for the command. Files: where a command of another program
        # is written (behind --), and as values of options that name a file (-F).
        script = script.replace("-n __fish_use_subcommand ", "-n __fish_auth-service_using_command ")
        return f"{script.replace(' -r -d ', ' -x -d ')}\n{_FISH}"
    return script
