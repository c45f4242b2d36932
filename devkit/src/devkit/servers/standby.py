"""A standby of an embedded PostgreSQL, which follows it by streaming replication."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from devkit.servers.errors import EmbeddedStackError
from devkit.servers.postgres import EmbeddedPostgres, _programs, start_postgres

_COPY_S = 600


def start_standby(primary: EmbeddedPostgres, data_dir: Path, *, settings: Mapping[str, str] = {}) -> EmbeddedPostgres:
    """Copy a running server's data into a new folder, and start a server on it that follows the other.

    Raises:
        EmbeddedStackError: It cannot run; the message says why and what to do.
    """
    cluster = data_dir / "cluster"
    data_dir.mkdir(parents=True)
    # -R writes who is followed into the copy's configuration (PostgreSQL documentation, pg_basebackup).
    program = str(_programs() / "pg_basebackup")
    command = [program, "-D", str(cluster), "-d", primary.dsn, "-R", "-X", "stream", "-c", "fast"]
    try:
        subprocess.run(command, check=True, timeout=_COPY_S, capture_output=True)  # noqa: S603 - the program was found
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedStackError(
            "The data of PostgreSQL could not be copied for a standby.", "Is there space on the disk?"
        ) from error
    shutil.copy(primary.data_dir / "password", data_dir / "password")
    owner = (primary.data_dir / "cluster").stat().st_uid
    if owner != os.geteuid():
        for path in (data_dir / "password", cluster, *cluster.rglob("*")):
            os.chown(path, owner, -1)
    return start_postgres(data_dir, settings=settings)
