"""`auth-service topic fill`: the state of users whose events are long gone."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from application.counting import counted
from application.relay.fill_state import Filled
from domain.user import InvalidUserIdError, UserId, parse_user_id
from entrypoints.cli.exit_codes import EX_CONFIG, EX_USAGE
from entrypoints.cli.terminal import console_for_progress
from entrypoints.composition import container_of
from entrypoints.config.loading import load
from entrypoints.config.settings import FillSettings

if TYPE_CHECKING:
    from entrypoints.composition.database import DatabaseContainer


def fill(*, after: Annotated[str | None, Parameter(name="--after")] = None) -> None:
    """Write every user's newest version into the state topic: when it is new, or was lost.

    Needs DATABASE_URL and KAFKA_USER_STATE_TOPIC, and relays that have it too: they do the writing, after their events,
    so it can run beside everything else and be repeated. Ends when all are written; interrupting it loses nothing.

    Parameters
    ----------
    after
        Go on behind this user (`user_…`), as an interrupted run said.
    """
    settings = load(FillSettings)
    if settings.kafka.kafka_user_state_topic is None:
        print("KAFKA_USER_STATE_TOPIC is not set: there is nothing to fill.", file=sys.stderr)
        sys.exit(EX_CONFIG)
    try:
        begin = None if after is None else parse_user_id(after)
    except InvalidUserIdError as error:
        print(f"--after: {error}", file=sys.stderr)
        sys.exit(EX_USAGE)
    from entrypoints.composition.database import DatabaseContainer  # noqa: PLC0415  # not for the other `topic` commands

    asyncio.run(_fill(container_of(DatabaseContainer, settings), begin))


async def _fill(container: "DatabaseContainer", after: UserId | None) -> None:
    done = Filled(put=0, last=after, waiting=0)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console_for_progress(), transient=True) as progress:
            task = progress.add_task("")
            async for done in container.fill_state()(after):
                progress.update(task, description=f"{counted(done.put, 'user')} put, {done.waiting:,} wait for a relay")
    except BaseException:
        if done.last:
            print(f"Not finished. Go on with: auth-service topic fill --after {done.last}", file=sys.stderr)
        raise
    finally:
        await container.engine().dispose()
    print(f"{counted(done.put, 'user is', 'users are')} in the state topic.")
