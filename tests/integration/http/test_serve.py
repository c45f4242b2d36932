"""`auth-service serve` as a process, on a real PostgreSQL."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from devkit.servers.ports import free_port
from entrypoints.cli.exit_codes import EX_CONFIG
from support.http_process import start
from support.users import USER
from support.web import SECRET, bearer, created, deleted, environment, signed, token


def head_of_a_webhook():
    """Return what precedes six bytes of body, with another body's signature; a server that wants the body says so."""
    headers = {"host": "x", "content-length": "6", "expect": "100-continue", **signed(b"another")}
    return "\r\n".join(["POST /webhooks/clerk HTTP/1.1", *map(": ".join, headers.items()), "", ""]).encode()


def deliver(url, body):
    return httpx.post(f"{url}/webhooks/clerk", content=body, headers=signed(body), timeout=20)


def test_a_users_life_over_http(serve, database_url):
    url = serve(DATABASE_URL=database_url).url

    assert set(httpx.get(f"{url}/health").json()["checks"].values()) == {"ok"}
    assert httpx.get(f"{url}/v1/me", headers=bearer()).status_code == 404
    assert deliver(url, created()).json() == {"outcome": "created"}
    assert deliver(url, created()).json() == {"outcome": "unchanged"}
    me = httpx.get(f"{url}/v1/me", headers=bearer())
    assert (me.status_code, me.json()["id"]) == (200, USER)
    assert httpx.get(f"{url}/v1/me", headers={**bearer(), "if-none-match": me.headers["etag"]}).status_code == 304
    assert httpx.get(f"{url}/v1/verify?active=true", headers=bearer()).headers["x-auth-user-id"] == USER
    assert deliver(url, deleted()).json() == {"outcome": "deleted"}
    assert httpx.get(f"{url}/v1/me", headers=bearer()).status_code == 401
    assert deliver(url, created(at=1_800_000_000_000)).json() == {"outcome": "stale"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_finished_before_the_process_leaves(serve, number):
    served = serve()
    with served.connect() as idle, served.connect() as busy:
        idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in idle.recv(1000)
        busy.sendall(head_of_a_webhook())
        assert b"100 Continue" in busy.recv(1000)
        busy.sendall(b"abc")
        served.process.send_signal(number)
        _wait_until_refused(served.port)
        busy.sendall(b"def")

        assert b"HTTP/1.1 400" in busy.recv(1000)
    assert served.ended() == 0


def test_workers_do_not_outlive_a_parent_that_was_killed(serve):
    served = serve("--workers", "2")
    served.process.kill()

    assert served.ended() == -signal.SIGKILL  # returns when the last process has closed its output
    _wait_until_refused(served.port)


_ORPHAN = """
import multiprocessing, os, time
def work(parent):
    while os.getppid() == parent:
        time.sleep(0.01)
    from entrypoints.http.app import create_app
    create_app()
    time.sleep(30)
    print("outlived")
multiprocessing.get_context("fork").Process(target=work, args=(os.getpid(),)).start()
os._exit(0)
"""


def test_a_worker_whose_parent_was_killed_before_it_was_ready_does_not_stay(tmp_path):
    variables = environment(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    command = [sys.executable, "-c", _ORPHAN]
    ended = subprocess.run(command, env={**os.environ, **variables}, cwd=tmp_path, capture_output=True, check=True)

    assert b"outlived" not in ended.stdout, ended.stderr


def _wait_until_refused(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("still listening")


def test_its_log_is_json_and_holds_no_secret(serve, database_url):
    served = serve(DATABASE_URL=database_url, CLERK_SECRET_KEY="sk_test_hunter2")
    deliver(served.url, created())
    httpx.get(f"{served.url}/v1/me", headers=bearer())
    served.stop()

    lines = [json.loads(line) for line in served.log]
    assert {"/webhooks/clerk", "/v1/me"} <= {line.get("route") for line in lines}
    for secret in (SECRET, "hunter2", database_url, "example.org", USER):
        assert secret not in "\n".join(served.log)


def test_a_log_that_nobody_reads_stops_no_request_and_no_stop(serve):
    served = serve()
    garbage = b"GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n"
    with served.connect() as connection:
        for _ in range(1_000):  # a pipe holds the lines of about 280
            connection.sendall(garbage)
            assert b"HTTP/1.1 401" in connection.recv(10_000)

    assert served.stop() == 0
    assert sum('"/v1/me"' in line for line in served.log) == 1_000


def test_a_wrong_configuration_stops_the_start_naming_every_variable():
    served = start(DATABASE_URL="mysql://u:hunter2@h/d", CLERK_WEBHOOK_SECRET="", CLERK_JWT_KEY="")

    assert served.ended() == EX_CONFIG
    message = "\n".join(served.log)
    assert "DATABASE_URL" in message
    assert "CLERK_WEBHOOK_SECRET" in message
    assert "hunter2" not in message
    assert "Traceback" not in message


def test_variables_may_come_through_a_pipe_that_can_be_read_once(tmp_path):
    port = free_port()
    lines = "".join(f"{name}={shlex.quote(text)}\n" for name, text in environment().items())
    (tmp_path / "variables").write_text(lines)
    program = Path(sys.executable).with_name("auth-service")
    script = f"exec {shlex.quote(str(program))} --env-file <(cat variables) serve --workers 2 --port {port}"
    process = subprocess.Popen(["bash", "-c", script], env={"PATH": os.environ["PATH"]}, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                assert httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
                break
            time.sleep(0.05)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()


def test_a_taken_port_is_told_by_name():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        served = start(port=taken.getsockname()[1])

        assert served.ended() == 1
    assert "PORT" in served.log[-1]
    assert "Address already in use" in served.log[-1]


HOSTS = {"": "127.0.0.1", "localhost": "127.0.0.1", "127.1": "127.0.0.1", "0.0.0.0": "127.0.0.1"}
if Path("/proc/net/if_inet6").exists():
    HOSTS |= {"::": "::1", "[::1]": "::1"}


@pytest.mark.parametrize("host", HOSTS)
def test_it_listens_wherever_this_machine_can(serve, host):
    served = serve(HOST=host, reached_at=HOSTS[host])

    assert served.stop() == 0


@pytest.mark.parametrize("host", ["localhost:3002", "http://localhost", "192.0.2.1"])
def test_a_host_that_cannot_be_is_refused_with_one_message(host):
    served = start(HOST=host)

    assert served.ended() == EX_CONFIG
    assert any("HOST" in line for line in served.log)
    assert "Traceback" not in "\n".join(served.log)


def test_a_number_of_workers_in_dot_env_counts_and_a_wrong_one_is_named(serve, tmp_path):
    (tmp_path / ".env").write_text("WEB_CONCURRENCY=2\n")
    served = serve(WEB_CONCURRENCY="", cwd=tmp_path)
    wrong = start(WEB_CONCURRENCY="two", cwd=tmp_path)

    assert wrong.ended() == EX_CONFIG
    assert any("WEB_CONCURRENCY: not a number" in line for line in wrong.log)
    assert served.stop() == 0
    assert sum("Spawning worker" in line for line in served.log) == 2


def test_a_folder_for_metrics_that_somebody_else_configured_is_not_used(serve, tmp_path):
    served = serve(PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "missing"))

    assert "http_requests_total" in httpx.get(f"{served.url}/metrics").text
    assert served.stop() == 0


def test_a_second_service_on_the_port_is_refused_too(serve):
    first = serve()
    second = start(port=first.port)

    assert second.ended() == 1


def test_the_commands_option_goes_before_the_environment(serve):
    served = serve(PORT="1", LOG_LEVEL="critical")

    assert served.stop() == 0
    assert served.log == []


def test_workers_share_the_port_and_their_metrics_add_up(serve):
    served = serve("--workers", "2")
    for _ in range(40):
        httpx.get(f"{served.url}/nowhere")

    expected = 'http_requests_total{method="GET",route="unmatched",status="404"} 40.0'
    deadline = time.monotonic() + 60
    while expected not in (text := httpx.get(f"{served.url}/metrics").text):  # one counts after it has answered
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    assert served.stop() == 0


@pytest.mark.parametrize("database", ["refuses", "hangs"])
def test_a_database_that_does_not_answer_is_503_in_bounded_time(serve, database):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if database == "hangs":
            silent.listen(64)  # and never accepts
        url = serve(DATABASE_URL=f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/d").url
        with ThreadPoolExecutor(24) as pool:
            hooks = list(pool.map(lambda _: deliver(url, created()), range(12)))
            reads = list(pool.map(lambda _: httpx.get(f"{url}/v1/me", headers=bearer(), timeout=20), range(12)))

        for response in hooks + reads:
            assert response.status_code == 503
            assert response.headers["retry-after"]
        assert httpx.get(f"{url}/health", timeout=20).status_code == 503
        assert httpx.get(f"{url}/health/live").status_code == 200


def test_keys_out_of_reach_is_503_and_garbage_is_still_401(serve):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        served = serve(CLERK_JWT_KEY="", CLERK_JWKS_URL=f"http://127.0.0.1:{closed.getsockname()[1]}/jwks")
        session = token(key_id="ins_1")
        good = httpx.get(f"{served.url}/v1/verify", headers={"authorization": f"Bearer {session}"}, timeout=20)
        garbage = httpx.get(f"{served.url}/v1/verify", headers={"authorization": "Bearer a.b.c"})

    assert (good.status_code, good.json()["code"]) == (503, "keys-unavailable")
    assert garbage.status_code == 401
