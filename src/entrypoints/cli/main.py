"""`auth-service`: one module a command, imported when it runs, so that `--help` is quick."""

# ruff: noqa: PLC0415  # what takes a moment to import is imported when signals are handled

import errno
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from entrypoints.cli import interruption, standard_streams
from entrypoints.cli.exit_codes import EX_CONFIG, EX_INTERRUPTED, EX_IOERR, EX_PIPE, EX_UNAVAILABLE, EX_USAGE

if TYPE_CHECKING:
    from cyclopts import App


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""A full disk, a quota, a limit of the shell (`ulimit -f`), a terminal that is gone."""

COMMANDS = {
    "serve": ("entrypoints.cli.serve:serve", "Serve webhooks, /v1/me and forward auth over HTTP."),
    "relay": ("entrypoints.cli.relay:relay", "Send stored events to Kafka, in order for each user."),
    "migrate": ("entrypoints.cli.migrate:migrate", "Migrate the database to this version's schema."),
    "events": ("entrypoints.cli.events:app", "Show the events in Kafka."),
    "outbox": ("entrypoints.cli.outbox.commands:app", "Show the outbox; retry or discard dead letters."),
    "users": (
        "entrypoints.cli.users.commands:app",
        "Look users up and what happened to them; ban, lock, delete them, set metadata, end sessions.",
    ),
    "service-key": ("entrypoints.cli.service_key:app", "Create keys for other services that manage users."),
    "reconcile": (
        "entrypoints.cli.reconcile.command:reconcile",
        "Compare all users with Clerk's, and repair both ways.",
    ),
    "topic": ("entrypoints.cli.topic:app", "Make the Kafka topics, and compare them with their definition."),
    "config": ("entrypoints.cli.config:config", "Show what is configured, where, and what is wrong with it."),
    "doctor": ("entrypoints.cli.doctor.command:doctor", "Find out what is wrong, and what to do about it."),
    "openapi": ("entrypoints.cli.documents:openapi", "Print the OpenAPI document of the HTTP API."),
    "asyncapi": ("entrypoints.cli.documents:asyncapi", "Print the AsyncAPI document of the events."),
    "completion": ("entrypoints.cli.completion:completion", "Print a script that completes commands in your shell."),
}


def commands_for(arguments: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Return our commands, and those that are plugged in where one of them may be meant: to find them takes a while."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS
    from entrypoints import plugins

    return {**COMMANDS, **plugins.plugged_in(plugins.COMMANDS)}


def app_for(arguments: Sequence[str]) -> "App":
    """Return the application; a command that is named brings its own, longer help."""
    from cyclopts import App
    from rich.console import Console

    from entrypoints.cli.terminal import console_for_stdout, on_terminal
    from entrypoints.version import VERSION

    commands = commands_for(arguments)
    listing = commands.keys().isdisjoint(arguments)
    app = App(
        name="auth-service",
        help="Keeps the platform's users equal to Clerk's, and verifies session tokens.",
        version=VERSION,
        console=console_for_stdout(),
        help_formatter="default" if on_terminal() else "plain",
        help_format="markdown" if on_terminal() else "plaintext",
        error_console=Console(stderr=True, highlight=False, markup=False, soft_wrap=True, color_system=None),
        error_formatter=str,
    )
    for name, (path, summary) in commands.items():
        # cyclopts would show the summary in place of the command's docstring.
        app.command(path, name=name, help=summary if listing else None)
    return app


def with_env_file(app: "App", begin: Callable[[], None]) -> "App":
    """Return the application with the option `--env-file`, which may stand before and behind a command."""
    from pathlib import Path
    from typing import Annotated

    from cyclopts import Parameter, validators

    @app.meta.default
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        env_file: Annotated[
            Path | None,
            Parameter(
                help="Read variables from this file; neither `.env` nor a running `dev` is then looked at.",
                validator=validators.Path(exists=True, dir_okay=False),
            ),
        ] = None,
    ) -> object:
        if env_file is not None:
            from entrypoints.config.sources import ENV_FILE, found_variables

            if env_file.is_fifo():  # `<(…)` can be read once, and each worker of `serve` reads
                os.environ |= {name: found.text for name, found in found_variables(None, env_file, []).items()}
                env_file = Path(os.devnull)
            os.environ[ENV_FILE] = str(env_file.absolute())
        command, bound, _ = app.parse_args(tokens, exit_on_error=False)
        _require_text(bound.arguments.values())
        begin()
        return command(*bound.args, **bound.kwargs)

    return app.meta


def _require_text(values: Iterable[object]) -> None:
    """End the program when an argument is not UTF-8: no database, JSON or URL takes it. A path may be any bytes."""
    from entrypoints.cli.terminal import fail

    for value in values:
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str):
                try:
                    text.encode()
                except UnicodeEncodeError:
                    fail(f"{text.encode('ascii', 'backslashreplace').decode()}: not UTF-8. Nothing was done.", EX_USAGE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the program; signals are handled where the arguments are the program's own."""
    if arguments is not None:
        _run(arguments)
    interruption.end_at_once()
    standard_streams.make_usable()
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # `serve` sets it for its workers; another's folder need not exist
    try:
        _run(sys.argv[1:], begin=interruption.end_in_order)
    finally:
        interruption.end_at_once()  # not a traceback of Python's own end


def _run(arguments: Sequence[str], begin: Callable[[], None] = lambda: None) -> NoReturn:
    from entrypoints.cli.terminal import fail

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # what is not UTF-8 gets question marks, not a traceback
    try:
        _command(arguments, begin)
    except BrokenPipeError:
        sys.stdout = None  # `| head` has seen enough; Python would complain again when it closes it
        sys.exit(EX_PIPE)
    except KeyboardInterrupt:
        sys.exit(EX_INTERRUPTED)
    except OSError as error:
        if error.filename is not None:
            fail(
                f"{error.filename}: {error.strerror}. Choose a path that this user may use, with space left.", EX_IOERR
            )
        if error.errno not in _UNWRITABLE:
            raise
        sys.stdout = None
        fail(f"The output cannot be written: {error.strerror}.", EX_IOERR)


def _command(arguments: Sequence[str], begin: Callable[[], None]) -> NoReturn:
    from cyclopts import CycloptsError

    from application.errors import ApplicationError
    from entrypoints.cli.output import flush
    from entrypoints.cli.remedy import with_remedy
    from entrypoints.cli.terminal import fail
    from entrypoints.config.sources import ConfigurationError

    try:
        app = with_env_file(app_for(arguments), begin)
        command, bound, _ = app.parse_args(arguments, exit_on_error=False)
        sys.exit(command(*bound.args, **bound.kwargs) or 0)
    except CycloptsError:
        sys.exit(EX_USAGE)  # it has been printed
    except ConfigurationError as error:
        fail(f"{error}{_hint()}", EX_CONFIG)  # not logged: the configuration of the log could not be read either
    except ApplicationError as error:
        fail(with_remedy(error), EX_UNAVAILABLE)
    finally:
        flush()


def _hint() -> str:
    """Return what else helps where the devkit is installed and no `dev` runs."""
    from entrypoints import plugins
    from entrypoints.config.sources import ENV_FILE, ConfigurationError

    developments = plugins.developments()
    try:
        if not developments or ENV_FILE in os.environ or any(find() for find in developments):
            return ""
    except ConfigurationError:
        return ""
    return "\nOr start `auth-service dev`, and run this beside it: it then uses the settings of `dev`."


if __name__ == "__main__":
    main()
