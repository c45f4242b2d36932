"""`auth-service topic fill`: the state of users whose events are long gone."""

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from application.counting import counted
from application.relay.fill_state import Filled
from domain.user import InvalidUserIdError, parse_user_id
from entrypoints.cli.beginning import run
from entrypoints.cli.exit_codes import EX_CONFIG, EX_USAGE
from entrypoints.cli.terminal import console_for_progress, fail
from entrypoints.composition import container_of
from entrypoints.config.loading import load
from entrypoints.config.settings import FillSettings


def fill(*, after: Annotated[str | None, Parameter(name="--after")] = None) -> None:
    """Write every user's newest version into the state topic: when it is new, or was lost.

    Needs DATABASE_URL and KAFKA_USER_STATE_TOPIC, and relays that have it too: they do the writing, after their events,
    so it can run beside everything else and be repeated. Ends when all are written; interrupting it loses nothing.

    Args:
        after: Go on behind this user (`user_…`), as an interrupted run said.
    """
    settings = load(FillSettings)
    if settings.kafka.kafka_user_state_topic is None:
        fail("KAFKA_USER_STATE_TOPIC is not set: there is nothing to fill.", EX_CONFIG)
    try:
        begin_after = None if after is None else parse_user_id(after)
    except InvalidUserIdError as error:
        fail(f"--after: {error}", EX_USAGE)
    from entrypoints.composition.database import DatabaseContainer  # noqa: PLC0415  # not for the other `topic` commands

    async def put_all(container: DatabaseContainer) -> None:
        done = Filled(put=0, last=begin_after, waiting=0)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        try:
            with Progress(*columns, console=console_for_progress(), transient=True) as progress:
                task = progress.add_task("")
                async for done in container.fill_state()(begin_after):
                    says = f"{counted(done.put, 'user')} put, {done.waiting:,} wait for a relay"
                    progress.update(task, description=says)
        except BaseException:
            if done.last:
                print(f"Not finished. Go on with: auth-service topic fill --after {done.last}", file=sys.stderr)
            raise
        print(f"{counted(done.put, 'user is', 'users are')} in the state topic.")

    run(container_of(DatabaseContainer, settings), put_all)
