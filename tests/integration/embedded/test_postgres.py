import os
import shutil
import socket
import stat

import asyncpg
import psutil
import pytest

from devkit.servers import postgres as embedded_postgres
from devkit.servers.errors import EmbeddedStackError
from devkit.servers.postgres import start_postgres


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = start_postgres(tmp_path_factory.mktemp("pg with späce"))
    yield server
    server.stop()


async def ask(dsn, sql):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_new_cluster_is_utf8_and_utc_and_writes_through_to_disk(postgres):
    shown = [
        await ask(postgres.dsn, f"SHOW {name}")
        for name in ("server_encoding", "timezone", "fsync", "max_connections", "shared_buffers")
    ]

    assert shown == ["UTF8", "UTC", "on", "100", "128MB"]
    assert await ask(postgres.dsn, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"


async def test_it_listens_on_loopback_alone_and_wants_the_password(postgres):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/postgres", "SELECT 1")

    assert await ask(postgres.dsn, "SHOW listen_addresses") == "127.0.0.1"
    assert await ask(postgres.dsn, "SHOW unix_socket_directories") == ""
    assert stat.S_IMODE((postgres.data_dir / "password").stat().st_mode) == 0o600


async def test_rows_survive_a_restart_and_a_crash_on_the_same_port(postgres):
    await ask(postgres.dsn, "CREATE TABLE kept (n int)")
    await ask(postgres.dsn, "INSERT INTO kept VALUES (1)")
    before = postgres.pid

    postgres.restart()
    after_restart = postgres.pid
    await ask(postgres.dsn, "INSERT INTO kept VALUES (2)")
    postgres.kill()
    with pytest.raises(ConnectionRefusedError):
        await ask(postgres.dsn, "SELECT 1")
    postgres.start()

    assert await ask(postgres.dsn, "SELECT array_agg(n ORDER BY n) FROM kept") == [1, 2]
    assert len({before, after_restart, postgres.pid}) == 3


async def test_a_crash_takes_every_child_along(postgres, processes_below):
    postgres.kill()

    assert processes_below(postgres.data_dir) == []

    postgres.start()


async def test_stopped_data_is_there_in_the_next_run_unless_fresh_is_asked_for(tmp_path):
    first = start_postgres(tmp_path, settings={"fsync": "off"})
    assert await ask(first.dsn, "SHOW fsync") == "off"
    await ask(first.dsn, "CREATE TABLE kept (n int)")
    first.stop()
    first.stop()

    second = start_postgres(tmp_path)
    kept = await ask(second.dsn, "SELECT to_regclass('kept') IS NOT NULL")
    second.stop()
    third = start_postgres(tmp_path, fresh=True)
    gone = await ask(third.dsn, "SELECT to_regclass('kept') IS NULL")
    third.stop()

    assert kept
    assert gone


def test_an_unfinished_set_up_is_done_again(tmp_path):
    (tmp_path / "cluster.unfinished").mkdir()
    (tmp_path / "cluster.unfinished" / "PG_VERSION").write_text("18\n")

    server = start_postgres(tmp_path)
    server.stop()

    assert not (tmp_path / "cluster.unfinished").exists()


async def test_programs_and_data_may_be_where_only_their_owner_can_read(tmp_path, monkeypatch):
    found = embedded_postgres._programs()
    packages = found.parents[2]
    for folder in packages.glob("embedded_postgres*"):  # its libraries are in a folder beside it
        shutil.copytree(folder, tmp_path / folder.name, symlinks=True)
    for path in (tmp_path, *tmp_path.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    monkeypatch.setattr(embedded_postgres, "_programs", lambda: tmp_path / found.relative_to(packages))
    umask = os.umask(0o077)
    try:
        server = start_postgres(tmp_path / "data")
    finally:
        os.umask(umask)

    try:
        assert await ask(server.dsn, "SELECT 1") == 1
    finally:
        server.stop()


def test_a_second_server_on_the_same_folder_is_refused(postgres):
    with pytest.raises(EmbeddedStackError, match=r"already running on .*\nStop that one first"):
        start_postgres(postgres.data_dir)


def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedStackError, match=f"127.0.0.1:{port}: the port is taken.\nStop the program"):
            start_postgres(tmp_path, port=port)


def test_data_of_another_major_version_is_left_alone(tmp_path):
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("9\n")

    with pytest.raises(EmbeddedStackError, match=r"was made by PostgreSQL 9; this one is PostgreSQL .*\nRemove"):
        start_postgres(tmp_path)

    assert (tmp_path / "cluster" / "PG_VERSION").read_text() == "9\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedStackError, match=r"cannot use the folder .*\nChoose a folder"):
        start_postgres(tmp_path / "file" / "data")


def test_a_server_that_refuses_its_settings_shows_the_end_of_its_log_and_leaves_nothing(tmp_path, processes_below):
    with pytest.raises(EmbeddedStackError, match='unrecognized configuration parameter "no_such_setting"'):
        start_postgres(tmp_path, settings={"no_such_setting": "1"})

    assert processes_below(tmp_path) == []
    start_postgres(tmp_path).stop()


def test_the_environment_of_the_starter_stays_out_of_the_server(tmp_path, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("CLERK_SECRET_KEY", "must-not-arrive")

    server = start_postgres(tmp_path)
    arrived = psutil.Process(server.pid).environ()
    server.stop()

    assert "PATH" in arrived
    assert not arrived.keys() & {"PGPORT", "CLERK_SECRET_KEY"}
