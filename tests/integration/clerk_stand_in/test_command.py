"""`auth-service clerk-stand-in` as a process of its own."""

import contextlib
import signal

import httpx
import pytest

from support.http_server import Answer, http_server
from support.processes import running
from support.web import SECRET

KEY = "sk_test_of_the_process"


@contextlib.contextmanager
def stand_in(folder, *arguments, **variables):
    with running(folder, "clerk-stand-in", "--port=0", f"--data-dir={folder}/data", *arguments, **variables) as process:
        (started,) = process.wait_for("started")
        yield process, started["url"]


def client(url, key=KEY):
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=20)


def test_users_survive_a_restart_and_webhooks_go_to_the_endpoint(tmp_path):
    configured = {"CLERK_SECRET_KEY": KEY, "CLERK_WEBHOOK_SECRET": SECRET}
    with http_server(lambda _: Answer()) as receiver:
        with stand_in(tmp_path, f"--endpoint={receiver.url}/hook", **configured) as (process, url), client(url) as http:
            user = http.post("/v1/users", json={"email_address": ["ada@example.org"]}).json()
            session = http.post("/v1/sessions", json={"user_id": user["id"]}).json()
            sent = process.wait_for("webhook", count=2)
            assert process.stop() == 0
        # Two are under way at once, as Svix does: either may be first.
        assert sorted((line["type"], line["user_id"], line["outcome"]) for line in sent) == [
            ("user.created", user["id"], 200),
            ("user.updated", user["id"], 200),
        ]
        assert [request.path for request in receiver.requests] == ["/hook", "/hook"]

    with stand_in(tmp_path, **configured) as (_, url), client(url) as http:
        assert http.get(f"/v1/users/{user['id']}").json()["last_sign_in_at"]
        assert http.get(f"/v1/sessions/{session['id']}").json()["status"] == "active"
        assert http.post("/v1/users", json={"email_address": ["ADA@example.org"]}).status_code == 422


def test_without_configuration_its_key_is_made_up_and_kept(tmp_path):
    with stand_in(tmp_path) as (_, url):
        key = (tmp_path / "data/clerk-secret-key").read_text().strip()
        with client(url, key) as http:
            assert http.get("/v1/users/count").json()["total_count"] == 0
            assert http.post("/stand-in/seed", json={"count": 1000}).json()["count"] == 1000
            assert http.get("/v1/users/count").json()["total_count"] == 1000
    with stand_in(tmp_path) as (_, url), client(url, key) as http:
        assert http.get("/v1/users/count").status_code == 200


@pytest.mark.parametrize("body", [{}, {"count": -1}, {"count": "1"}, {"count": 1, "sede": 1}, {"count": 10_000_000}])
def test_a_seed_that_is_none_is_refused(ask, body):
    assert ask("POST", "/stand-in/seed", json=body).status_code == 400


def test_the_console_is_at_its_address_for_this_machine_alone(tmp_path):
    with stand_in(tmp_path, CLERK_SECRET_KEY=KEY, PORT="3999") as (_, url):
        page = httpx.get(url, trust_env=False)
        rebound = httpx.get(url, headers={"host": "attacker.example"}, trust_env=False)

    assert page.status_code == 200
    assert '"service": "http://127.0.0.1:3999"' in page.text
    assert '"secret_key": "$CLERK_SECRET_KEY"' in page.text
    assert KEY not in page.text
    assert rebound.status_code == 403


def test_a_port_that_is_taken_a_broken_file_and_a_live_key_end_it_with_a_word(tmp_path):
    def said(status, *arguments, **variables):
        with running(tmp_path, "clerk-stand-in", f"--data-dir={tmp_path}/data", *arguments, **variables) as process:
            assert process.popen.wait(30) == status
            return process.text()

    with http_server(lambda _: Answer()) as other:
        assert "in use" in said(1, f"--port={other.port}")
    assert "sk_live_" in said(78, "--port=0", CLERK_SECRET_KEY="sk_live_0123456789abcdef")
    assert "not an http(s) URL" in said(78, "--port=0", "--endpoint=ftp://nowhere")
    (tmp_path / "data/clerk.json").write_text('{"users": 3}')
    assert "remove it" in said(78, "--port=0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_although_connections_are_open(tmp_path, number):
    with stand_in(tmp_path, CLERK_SECRET_KEY=KEY) as (process, url), client(url) as http:
        http.post("/stand-in/faults", json={"kind": "latency", "delay_s": 60})
        with contextlib.suppress(httpx.ReadTimeout):
            http.get("/v1/users", timeout=0.5)
        process.popen.send_signal(number)

        assert process.popen.wait(30) == 0
