"""`serve` leaves: on its own, under load, and with new workers in its place."""

import asyncio
import signal
import time

import asyncpg
import httpx
import pytest

from devkit.servers.ports import free_port
from support.load import Load, until_ready
from support.processes import running
from support.web import environment

NO_FILTER = '"socket_filter_refused"'
"""In the log where the kernel lets root alone attach a filter: requests may be cut off then (ADR 0021)."""


def test_balancers_are_told_before_anybody_is_refused(serve, database_url):
    served = serve(DATABASE_URL=database_url, SHUTDOWN_DELAY_S="5")
    with httpx.Client(base_url=served.url) as client:
        assert client.get("/health/ready").status_code == 200
        served.process.send_signal(signal.SIGTERM)
        while client.get("/health/ready").status_code == 200:  # a signal takes a moment
            time.sleep(0.02)
        leaving = client.get("/health/ready")  # that one may have begun before it
        alive = client.get("/health/live")

    assert (leaving.status_code, leaving.json()["checks"]["process"]) == (503, "unavailable")
    assert leaving.headers["connection"] == "close"
    assert alive.status_code == 200
    assert served.ended() == 0


@pytest.mark.parametrize(("workers", "keep_alive"), [(1, False), (2, True)])
async def test_a_stop_under_load_leaves_no_request_without_an_answer(serve, database_url, workers, keep_alive):
    served = serve("--workers", str(workers), DATABASE_URL=database_url)
    load = Load(served.url, keep_alive=keep_alive)
    async with load.running(16):
        await load.answers(200)
        served.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(served.ended)
        await asyncio.sleep(0.1)

    assert load.cut == [] or any(NO_FILTER in line for line in served.log)
    assert load.not_acknowledged == []
    assert load.refused
    assert status == 0
    connection = await asyncpg.connect(database_url)
    stored = await connection.fetchval("SELECT count(*) FROM users WHERE id = ANY($1)", load.acknowledged)
    await connection.close()
    assert stored == len(load.acknowledged)


async def test_new_workers_take_over_under_load_without_one_failed_request(tmp_path, database_url):
    port = free_port()
    variables = environment(DATABASE_URL=database_url)
    with running(tmp_path, "serve", "--port", str(port), "--workers", "2", **variables) as serve:
        load = Load(f"http://127.0.0.1:{port}", keep_alive=False)
        async with httpx.AsyncClient(base_url=load.url, trust_env=False) as client:
            await until_ready(client)
        async with load.running(8):
            await load.answers(100)
            serve.popen.send_signal(signal.SIGHUP)  # to the first process only
            await asyncio.to_thread(serve.wait_for, "leaving", count=2)
            await asyncio.sleep(1.5)  # until the second one has left, and whom it kept waiting has come again
            await load.answers(100)

        assert load.cut == [] or NO_FILTER in serve.text()
        assert load.refused == 0
        assert load.not_acknowledged == []
        assert serve.stop() == 0
