"""`auth-service topic repair`: users above the versions that consumers have seen."""

import asyncio
import logging
import sys
import time

from application.counting import counted
from application.errors import SafetyStopError
from entrypoints.cli.exit_codes import EX_CONFIG, EX_DATAERR, EX_NOT_DONE, EX_USAGE
from entrypoints.cli.moment import moment
from entrypoints.cli.terminal import fail
from entrypoints.composition import container_of
from entrypoints.config.clerk_values import SECRET_KEY_EXAMPLE
from entrypoints.config.loading import load
from entrypoints.config.settings import RepairSettings
from entrypoints.config.sources import ConfigProblem


def repair(*, since: str, dry_run: bool = False) -> None:
    """Publish users again whose version went back: after a failover that lost commits, or a restore from a backup.

    Needs DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS and CLERK_SECRET_KEY. Run `reconcile` first, and this while the relays
    run. It reads the event topic and compares: a user of whom the topic has a later version than the table, or the same
    version with other content, is brought up to what Clerk has now and published under the next free version, which no
    consumer drops. A user of whom only the topic knows, and whom Clerk does not have, is published as deleted. Running
    it again changes nothing.

    Exit status: 0 nothing to do, or all is repaired; 1 --dry-run found users; 65 safety stop; 69 out of reach.

    Parameters
    ----------
    since
        Compare what was published since then: a time well before the failover, or before the backup that was restored.
        `90m`, `24h`, `7d`, a date, or a time with its offset.
    dry_run
        Only list the users.
    """
    now_ms = time.time_ns() // 1_000_000
    try:
        since_ms = moment(since, now_ms)
    except ValueError as error:
        fail(f"--since: {error}", EX_USAGE)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what is wrong is said once, by us
    settings = load(RepairSettings)
    settings.proxies.export()
    if settings.clerk_api.clerk_secret_key is None:
        fail(str(ConfigProblem("CLERK_SECRET_KEY", "missing; Clerk is asked with it", SECRET_KEY_EXAMPLE)), EX_CONFIG)
    try:
        found = asyncio.run(_repair(settings, since_ms, dry_run=dry_run))
    except SafetyStopError as error:
        fail(str(error), EX_DATAERR)
    done = "would be published again" if dry_run else "published again"
    print(f"{counted(found, 'user')} {done}, above what consumers have seen.")
    sys.exit(EX_NOT_DONE if dry_run and found else 0)


async def _repair(settings: RepairSettings, since_ms: int, *, dry_run: bool) -> int:
    # Here: the other `topic` commands do without Clerk and the database.
    from entrypoints.composition.lifecycle import acting  # noqa: PLC0415
    from entrypoints.composition.repair import RepairContainer  # noqa: PLC0415

    container = container_of(RepairContainer, settings)
    found = 0
    async with acting(container):
        async for user_id in container.overtake_seen()(since_ms, dry_run=dry_run):
            print(user_id)
            found += 1
    return found
