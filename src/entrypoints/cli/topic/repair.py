"""`auth-service topic repair`: users above the versions that consumers have seen."""

import sys
import time

from application.counting import counted
from application.errors import SafetyStopError
from entrypoints.cli.beginning import begin, require_secret_key, run
from entrypoints.cli.exit_codes import EX_DATAERR, EX_NOT_DONE, EX_USAGE
from entrypoints.cli.moment import moment
from entrypoints.cli.terminal import fail
from entrypoints.config.settings import RepairSettings


def repair(*, since: str, dry_run: bool = False) -> None:
    """Publish users again whose version went back: after a failover that lost commits, or a restore from a backup.

    Needs DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS and CLERK_SECRET_KEY. Run `reconcile` first, and this while the relays
    run. It reads the event topic and compares: a user of whom the topic has a later version than the table, or the same
    version with other content, is brought up to what Clerk has now and published under the next free version, which no
    consumer drops. A user of whom only the topic knows, and whom Clerk does not have, is published as deleted. Running
    it again changes nothing.

    Exit status: 0 nothing to do, or all is repaired; 1 --dry-run found users; 65 safety stop; 69 out of reach.

    Args:
        since: Compare what was published since then: a time well before the failover, or before the backup that was
            restored. `90m`, `24h`, `7d`, a date, or a time with its offset.
        dry_run: Only list the users.
    """
    now_ms = time.time_ns() // 1_000_000
    try:
        since_ms = moment(since, now_ms)
    except ValueError as error:
        fail(f"--since: {error}", EX_USAGE)
    # Here: the other `topic` commands do without Clerk and the database.
    from entrypoints.composition.lifecycle import acting  # noqa: PLC0415
    from entrypoints.composition.repair import RepairContainer  # noqa: PLC0415

    async def repair_all(container: RepairContainer) -> int:
        found = 0
        async for user_id in container.overtake_seen()(since_ms, dry_run=dry_run):
            print(user_id)
            found += 1
        return found

    container = begin(RepairContainer, RepairSettings)
    require_secret_key(container.clerk_api())
    try:
        found = run(container, repair_all, acting)
    except SafetyStopError as error:
        fail(str(error), EX_DATAERR)
    done = "would be published again" if dry_run else "published again"
    print(f"{counted(found, 'user')} {done}, above what consumers have seen.")
    sys.exit(EX_NOT_DONE if dry_run and found else 0)
