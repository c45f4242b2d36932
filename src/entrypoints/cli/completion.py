"""`auth-service completion`: commands and options, completed by the shell."""

from typing import Literal

from entrypoints.cli.main import app_for, with_env_file


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that completes commands and options in your shell. Needs no configuration.

    Write it to ~/.local/share/bash-completion/completions/auth-service, to `_auth-service` in a folder of zsh's $fpath,
    or to ~/.config/fish/completions/auth-service.fish; again after an upgrade.
    """
    print(with_env_file(app_for(()), lambda: None).generate_completion(shell=shell))
