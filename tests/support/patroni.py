"""Two PostgreSQL servers under a real Patroni, with a real etcd: who is the primary is Patroni's decision."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml
from attrs import define, field

from devkit.servers import postgres as embedded
from support.servers import free_port

PATRONI = Path(__file__).parents[2] / ".venv" / "patroni" / "bin" / "patroni"
PASSWORD = "seldom-seen-3T8n"
TTL_S = 20
"""Patroni's lowest: how long the dead primary's lease lasts."""


@define(eq=False)
class Member:
    """One Patroni and its PostgreSQL."""

    name: str
    folder: Path
    port: int = field(factory=free_port)
    rest_port: int = field(factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_unprivileged(), PATRONI, self.folder / f"{self.name}.yml"],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL Patroni and all of PostgreSQL, as when the machine dies."""
        if self.process is None:
            return
        family = _family(self.process.pid) + _family(self._postmaster())
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)
        self.process = None

    def _postmaster(self) -> int:
        try:
            return int((self.folder / self.name / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    @property
    def role(self) -> str | None:
        """`primary`, `replica`, …; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}/patroni", timeout=2) as answer:
                return _role(json.load(answer))
        except urllib.error.HTTPError as error:
            return _role(json.load(error))
        except OSError:
            return None

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")


@define(eq=False)
class Cluster:
    members: Sequence[Member]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"postgresql://postgres:{PASSWORD}@{hosts}/postgres?target_session_attrs=read-write"

    def leader(self, *, other_than: Member | None = None, within: float = 90.0) -> Member:
        deadline = time.monotonic() + within
        while True:
            for member in self.members:
                if member is not other_than and member.role == "primary":
                    return member
            assert time.monotonic() < deadline, [member.log()[-3000:] for member in self.members]
            time.sleep(0.05)

    def wait_for_synchronous_standby(self, within: float = 90.0) -> None:
        deadline = time.monotonic() + within
        while "sync_standby" not in [each["role"] for each in self._members()]:
            assert time.monotonic() < deadline, self._members()
            time.sleep(0.2)

    def switch_over(self) -> None:
        leader = self.leader()
        body = json.dumps({"leader": leader.name}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{leader.rest_port}/switchover", data=body)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200

    def _members(self) -> list[dict[str, Any]]:
        leader = self.leader()
        with urllib.request.urlopen(f"http://127.0.0.1:{leader.rest_port}/cluster", timeout=5) as answer:
            return list(json.load(answer)["members"])


@contextmanager
def patroni(folder: Path) -> Iterator[Cluster]:
    """Run etcd and two members; the second follows the first synchronously."""
    folder.mkdir()
    _give_away(folder)
    with ExitStack() as stack:
        etcd = stack.enter_context(_etcd(folder))
        members = [Member(name, folder) for name in ("a", "b")]
        for member in members:
            _configure(member, etcd)
            stack.callback(member.kill)
        cluster = Cluster(members)
        members[0].start()
        cluster.leader()
        members[1].start()
        cluster.wait_for_synchronous_standby()
        yield cluster


@contextmanager
def _etcd(folder: Path) -> Iterator[str]:
    program = shutil.which("etcd")
    assert program, "etcd is missing: apt-get install etcd-server"
    address, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    with (folder / "etcd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *_unprivileged(),
                program,
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={address}",
                f"--advertise-client-urls={address}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield address.removeprefix("http://")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _configure(member: Member, etcd: str) -> None:
    configuration = {
        "scope": "auth",
        "name": member.name,
        "restapi": {
            "listen": f"127.0.0.1:{member.rest_port}",
            "connect_address": f"127.0.0.1:{member.rest_port}",
        },
        "etcd3": {"hosts": etcd},
        "bootstrap": {
            "dcs": {
                "ttl": TTL_S,
                "loop_wait": 1,
                "retry_timeout": 3,
                "synchronous_mode": True,
                "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 100}},
            },
            "initdb": [{"encoding": "UTF8"}, "no-locale"],
        },
        "postgresql": {
            "listen": f"127.0.0.1:{member.port}",
            "connect_address": f"127.0.0.1:{member.port}",
            "data_dir": str(member.folder / member.name),
            "bin_dir": str(embedded._programs()),
            "pgpass": str(member.folder / f"{member.name}.pgpass"),
            "authentication": {
                "superuser": {"username": "postgres", "password": PASSWORD},
                "replication": {"username": "replicator", "password": PASSWORD},
            },
            "pg_hba": [
                "host all all 127.0.0.1/32 scram-sha-256",
                "host replication all 127.0.0.1/32 scram-sha-256",
            ],
            "parameters": {"unix_socket_directories": ""},
        },
    }
    file = member.folder / f"{member.name}.yml"
    file.write_text(yaml.safe_dump(configuration))
    _give_away(file)


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to be root. Whoever it is instead may read what only root can enter: our Python, perhaps."""
    read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *read] if os.geteuid() == 0 else []


def _give_away(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, "nobody")


def _role(status: dict[str, Any]) -> str | None:
    role = status.get("role") if status.get("state") == "running" else None
    return "primary" if role in ("master", "primary") else role


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid) if pid else None
        return [process, *process.children(recursive=True)] if process else []
    except psutil.NoSuchProcess:
        return []
