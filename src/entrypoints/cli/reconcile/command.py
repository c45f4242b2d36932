"""`auth-service reconcile`: our users made equal to Clerk's."""

import asyncio
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from application import errors
from application.reconcile.drift import DeletionLimit
from application.reconcile.options import ReconcileOptions
from domain.user import parse_user_id
from entrypoints.cli.confirmation import Yes, require_terminal
from entrypoints.cli.exit_codes import EX_TEMPFAIL, EX_USAGE
from entrypoints.cli.options import between, moment, read_option
from entrypoints.cli.reconcile.output import DIFFERENT, EQUAL, REFUSED, REPAIRED, SAFETY_STOP, STOPPED, Output
from entrypoints.cli.startup import require_secret_key
from entrypoints.cli.terminal import fail
from entrypoints.cli.until_signal import run_until_signal
from entrypoints.composition import container_of
from entrypoints.composition.lifecycle import acting
from entrypoints.composition.reconcile import ReconcileContainer
from entrypoints.config.loading import load
from entrypoints.config.settings import ReconcileSettings
from entrypoints.observability.logging import configure_logging


def reconcile(  # noqa: PLR0913  # a command's options
    *,
    dry_run: bool = False,
    since: str | None = None,
    user: str | None = None,
    allow_deletes: str | None = None,
    yes: Yes = False,
    restart: bool = False,
    patience: Annotated[float, between(0, 86_400)] = 300.0,
    report: Path | None = None,
    json: bool = False,  # the option's name
) -> None:
    """Compare all users with Clerk's, and repair both ways: after lost webhooks, and as the first import.

    Needs DATABASE_URL and CLERK_SECRET_KEY, from the environment, `.env`, or the `auth-service dev` that runs here. It
    may run while webhooks arrive, which are newer than what it reads; two at once do no harm. A user is deleted here
    only after Clerk has confirmed that the id does not exist. An interrupted run continues if it is started again
    within a day.

    Before users are deleted it asks on the terminal. Without a terminal it needs --yes, --dry-run or --since, else it
    does not start.

    Exit status: 0 equal, or everything is repaired; 1 differences are left (--dry-run: were found); 2 wrong usage, and
    nothing was done; 65 safety stop, too many would be deleted and none was; 69 Clerk refuses; 75 stopped before the
    end, run it again; 130 stopped by Ctrl-C, the same.

    Args:
        dry_run: Only report what differs.
        since: Only users who changed at Clerk since then: `90m`, `24h`, `7d`, a date, or a time with its offset. Finds
            no deleted users.
        user: Only this one.
        allow_deletes: How many users may be deleted here, a number or a share such as `20%`. 5 % when left out, or 10
            if that is more.
        restart: Start from the beginning, even if a run was interrupted.
        patience: Seconds for which Clerk or the database may fail before the run ends.
        report: Write every difference to this file as a line of JSON, and the summary as the last one. A run that goes
            on where another was interrupted adds to the file.
        json: The summary as one JSON object, for other programs.
    """
    now_ms = time.time_ns() // 1_000_000
    options = ReconcileOptions(
        dry_run=dry_run,
        since=None if since is None else read_option("--since", lambda: moment(since, now_ms)),
        user=None if user is None else read_option("--user", lambda: parse_user_id(user)),
        allowance=DeletionLimit()
        if allow_deletes is None
        else read_option("--allow-deletes", lambda: allowance(allow_deletes)),
        patience_s=patience,
        restart=restart,
    )
    if options.user and options.since is not None:
        fail("--user and --since exclude each other.", EX_USAGE)
    if restart and (options.user or options.since is not None):
        fail("--restart is for a run over all users: leave out --user and --since.", EX_USAGE)
    settings = load(ReconcileSettings)
    settings.proxies.export()
    require_secret_key(settings.clerk_api)
    if not (yes or dry_run or options.since is not None):
        require_terminal("Delete users here whom Clerk does not have?")
    with ExitStack() as exits:
        try:
            output = exits.enter_context(Output(options, yes=yes, report=report, as_json=json))
        except OSError as error:
            fail(f"--report {report}: {error.strerror}", EX_USAGE)
        configure_logging(settings.log)
        status = run_until_signal(
            _run(container_of(ReconcileContainer, settings), options, output), on_signal=output.signalled
        )
    sys.exit(EX_TEMPFAIL if status is None else status)


async def _run(container: ReconcileContainer, options: ReconcileOptions, output: Output) -> int:
    try:
        async with acting(container):
            await container.reconcile()(options, output.progress, output)
    except errors.SafetyStopError as error:
        return output.ended(SAFETY_STOP, str(error))
    except (errors.ClerkRefusedError, errors.ClerkKeyRefusedError) as error:
        return output.ended(REFUSED, str(error))
    except (errors.ClerkUnavailableError, errors.StoreUnavailableError) as error:
        return output.ended(STOPPED, str(error))
    except asyncio.CancelledError:
        output.ended(STOPPED, "interrupted")
        raise
    equal = REPAIRED if output.progress.repaired.total() else EQUAL
    return output.ended(DIFFERENT if output.progress.left else equal)


def allowance(text: str) -> DeletionLimit:
    """Read how many may be deleted: a number, or a share of our users with `%`; ValueError: it is neither."""
    if found := re.fullmatch(r"([0-9]{1,3})%", text):
        if int(found[1]) <= 100:  # noqa: PLR2004
            return DeletionLimit(share=int(found[1]) / 100, at_least=0, explicit=True)
    elif re.fullmatch(r"[0-9]{1,12}", text):
        return DeletionLimit(share=0, at_least=int(text), explicit=True)
    raise ValueError("neither a number nor a share from 0% to 100%")
