"""Nothing personal and no secret is in what a run writes: logs of serve and relay, traces, metrics, errors' answers.

Each of these streams is searched for canaries: texts that stand nowhere but in one user's data, one client's request or
one secret. That they went through the service is checked first: row, event and profile do hold them.
"""

import asyncio
import json
import re
import time
from typing import Any

import asyncpg
import httpx
import pytest
from attrs import define, field

from adapters.kafka.consumer import tail_topic
from devkit.fake_clerk.samples import sample_session
from devkit.fake_clerk.signing import sign_webhook
from devkit.servers.ports import free_port
from entrypoints.config.service_keys import new_service_key
from integration.conftest import create_topic
from support.web import SECRET, created, event, token

USER = "user_canary"
PERSONAL = {
    "email": "canary.email@personal.example",
    "first name": "Canarygiven",
    "last name": "Canarysurname",
    "phone": "+15558675309",
    "username": "canaryhandle",
    "external id": "canary-external",
    "public metadata": "canary-public",
}
NEVER_KEPT = {"private metadata": "canary-private", "unsafe metadata": "canary-unsafe"}
OF_A_CLIENT = {
    "address": "127.0.0.77",
    "forwarded address": "203.0.113.77",
    "user agent": "canary-agent",
    "query": "canary-query",
    "path": "canary-path",
    "cookie": "canary-cookie",
    "method": "CANARY",
}
SERVICE_KEY, OF_SERVICE_KEY = new_service_key("canary")
SECRETS = {
    "webhook secret": SECRET.removeprefix("whsec_"),
    "secret key": "sk_test_canarykey",
    "key of the collector": "canary-collector-key",
    "service key": SERVICE_KEY,
}


def payload(**changes: Any) -> dict[str, Any]:
    address = {
        "id": "idn_1",
        "email_address": PERSONAL["email"],
        "verification": {"status": "verified", "strategy": "email_code"},
    }
    number = {"id": "idn_2", "phone_number": PERSONAL["phone"]}
    return {
        **json.loads(created(USER))["data"],
        "email_addresses": [address],
        "primary_email_address_id": "idn_1",
        "phone_numbers": [number],
        "primary_phone_number_id": "idn_2",
        "username": PERSONAL["username"],
        "first_name": PERSONAL["first name"],
        "last_name": PERSONAL["last name"],
        "external_id": PERSONAL["external id"],
        "public_metadata": {"note": PERSONAL["public metadata"]},
        "private_metadata": {"note": NEVER_KEPT["private metadata"]},
        "unsafe_metadata": {"note": NEVER_KEPT["unsafe metadata"]},
        **changes,
    }


def webhook(at: int, **changes: Any) -> bytes:
    moment = 1_700_000_000_000 + at
    return event("user.updated", payload(updated_at=moment, **changes), at=moment)


def session_end() -> bytes:
    """The end of a session, with all that Clerk tells of its client and its user."""
    activity = {"ip_address": OF_A_CLIENT["forwarded address"], "browser_name": OF_A_CLIENT["user agent"]}
    session = sample_session("sess_canary", USER, now_ms=1_700_000_000_000, client_id=OF_A_CLIENT["cookie"])
    return event("session.ended", {**session, "latest_activity": activity, "user": payload()})


@define
class Client:
    """Somebody whose address, headers and query are nobody's business; keeps every answer that is an error."""

    http: httpx.AsyncClient
    errors: list[str] = field(factory=list)
    statuses: list[int] = field(factory=list)
    signatures: list[str] = field(factory=list)

    async def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        query = "&" if "?" in path else "?"
        answer = await self.http.request(method, f"{path}{query}note={OF_A_CLIENT['query']}", **how)
        self.statuses.append(answer.status_code)
        if answer.status_code >= 400:
            self.errors.append(f"{answer.headers}\n{answer.text}")
        return answer

    async def deliver(self, body: bytes, at: int | None = None, **changes: str) -> httpx.Response:
        """Deliver it, signed at this moment (seconds since 1970) or now."""
        headers = {**sign_webhook(SECRET, "msg_1", at or int(time.time()), body), **changes}
        self.signatures.append(headers["svix-signature"].removeprefix("v1,"))
        return await self.ask("POST", "/webhooks/clerk", content=body, headers=headers)


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        timeout=20,
        transport=httpx.AsyncHTTPTransport(local_address=OF_A_CLIENT["address"]),
        headers={
            "x-forwarded-for": OF_A_CLIENT["forwarded address"],
            "user-agent": OF_A_CLIENT["user agent"],
            "cookie": f"other={OF_A_CLIENT['cookie']}",
        },
    )


async def until_the_outbox_is_empty(connection: "asyncpg.Connection[Any]") -> None:
    async with asyncio.timeout(60):
        while await connection.fetchval("SELECT count(*) FROM outbox"):
            await asyncio.sleep(0.05)


async def metrics(url: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"{url}/metrics")).text


def canaries_in(text: str, canaries: dict[str, str]) -> list[str]:
    return [name for name, canary in canaries.items() if canary in text]


async def first_event(bootstrap_servers: str, topic: str) -> str:
    async with tail_topic([bootstrap_servers], topic, None, from_beginning=True) as tail, asyncio.timeout(60):
        return ((await tail.next()).value or b"").decode()


async def be_wrong(somebody: Client, sessions: list[str]) -> None:
    """Ask wrongly, in every place that an answer or a line could repeat."""
    good = {"authorization": f"Bearer {sessions[0]}"}
    await somebody.ask("GET", f"/{OF_A_CLIENT['path']}")
    await somebody.ask(OF_A_CLIENT["method"], "/v1/me")
    await somebody.ask("GET", f"/v1/users/{OF_A_CLIENT['path']}", headers=good)
    await somebody.ask("GET", f"/v1/users?email={PERSONAL['email']}", headers=good)
    for credentials in (sessions[0], SERVICE_KEY):
        headers = {"authorization": f"Bearer {credentials}"}
        await somebody.ask("POST", f"/v1/users/{PERSONAL['email']}/ban", headers=headers)
    for session in sessions[1:]:
        await somebody.ask("GET", "/v1/me", headers={"authorization": f"Bearer {session}"})
        await somebody.ask("GET", "/v1/verify", headers={"cookie": f"__session={session}"})
    wrong: list[dict[str, Any]] = [
        {"svix-signature": "v1," + "Y2FuYXJ5" * 5 + "Y2E="},
        {"svix-timestamp": "1700000000"},
        {"svix-id": PERSONAL["email"]},
        {"svix-id": f"msg_{PERSONAL['email']}"},
    ]
    for changes in wrong:
        await somebody.deliver(webhook(1), **changes)
    await somebody.ask("GET", "/v1/me", headers={"cookie": f"{OF_A_CLIENT['cookie']};" * 300})
    await somebody.ask("GET", f"/v1/me?{OF_A_CLIENT['query'] * 1000}")
    await somebody.deliver(webhook(1), at=1_700_000_000)
    await somebody.deliver(webhook(2, email_addresses=PERSONAL["email"]))
    await somebody.deliver(webhook(3, first_name=[PERSONAL["first name"]]))


async def break_the_database(somebody: Client, connection: "asyncpg.Connection[Any]", session: str) -> None:
    """Let PostgreSQL refuse, quoting what it refuses; be unreadable, not migrated, gone."""
    await somebody.deliver(webhook(14, username=f"{PERSONAL['username']}\0"))
    await connection.execute("ALTER TABLE users ADD CHECK (last_name <> 'refuse me')")
    await somebody.deliver(webhook(15, last_name="refuse me"))
    await connection.execute("UPDATE users SET emails = json_build_array(json_build_object(email, 1))")
    await somebody.ask("GET", "/v1/me", headers={"authorization": f"Bearer {session}"})
    await somebody.deliver(webhook(18))
    await connection.execute("ALTER TABLE users RENAME TO elsewhere")
    await somebody.deliver(webhook(19))
    await connection.execute("ALTER TABLE elsewhere RENAME TO users")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await somebody.deliver(webhook(20, last_name="refuse me"))


@pytest.mark.parametrize(("log_format", "level"), [("json", "info"), ("json", "debug"), ("console", "debug")])
async def test_a_run_with_faults_writes_nothing_of_a_person_a_client_or_a_secret(
    running_serve, start_relay, collector, database_url, kafka_address, topic, level, log_format
):
    shared = {
        "LOG_LEVEL": level,
        "LOG_FORMAT": log_format,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={SECRETS['key of the collector']}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    keys = {"CLERK_SECRET_KEY": SECRETS["secret key"], "AUTH_SERVICE_KEYS": str(OF_SERVICE_KEY)}
    serve, url = running_serve(**shared, **keys)
    small, ended, port = f"{topic}-small", f"{topic}-ended", free_port()
    await create_topic(kafka_address, small, max_message_bytes="4000")
    await create_topic(kafka_address, ended)
    relay = start_relay("--metrics-port", str(port), to=small, KAFKA_SESSION_EVENTS_TOPIC=ended, **shared)
    connection = await asyncpg.connect(database_url)
    sessions = [token(USER), token(USER, exp=1), token(USER, iss="https://elsewhere.example")]

    async with client(url) as http:
        somebody = Client(http)
        await somebody.deliver(webhook(0))
        profile = (await somebody.ask("GET", "/v1/me", headers={"authorization": f"Bearer {sessions[0]}"})).text
        through = {
            "profile": profile,
            "row": str(await connection.fetchrow("SELECT * FROM users")),
            "event": await first_event(kafka_address, small),
        }
        await somebody.deliver(session_end())
        of_session = {
            "row of session": str(await connection.fetchrow("SELECT * FROM revoked_session")),
            "event of session": await first_event(kafka_address, ended),
        }
        await be_wrong(somebody, sessions)
        await somebody.deliver(webhook(6, public_metadata={"note": PERSONAL["public metadata"] * 500}))  # too large
        await somebody.deliver(webhook(7))
        await until_the_outbox_is_empty(connection)
        await break_the_database(somebody, connection, sessions[0])
    written = {
        "metrics of serve": await metrics(url),
        "metrics of relay": await metrics(f"http://127.0.0.1:{port}"),
        "errors": "\n".join(somebody.errors),
        **of_session,
    }
    await connection.close()
    assert (serve.stop(), relay.stop()) == (0, 0)
    written |= {"log of serve": serve.text(), "log of relay": relay.text()}
    written["traces"] = collector.text

    # The canaries went through, every kind of fault was met, and each stream tells of what happened.
    assert {name: canaries_in(text, PERSONAL) for name, text in through.items()} == {
        "profile": list(PERSONAL),
        "row": list(PERSONAL),
        "event": list(PERSONAL),
    }
    assert {200, 400, 401, 403, 404, 405, 422, 500, 503} <= set(somebody.statuses)
    for stream, telling in {
        "log of serve": (
            "unhandled_error",
            "No matching signature",
            "behind our clock",
            "user_action",
            "not migrated",
            "trace_id",
            "svix_id",
            "token-expired",
            "head-too-large",
            "query-too-long",
        ),
        "log of relay": ("events_refused", "lanes_held"),
        "metrics of serve": ('outcome="not-storable"', "wrong signature", "clock differs", 'status="500"'),
        "metrics of relay": ("outbox_dead_letters_total 1.0",),
        "row of session": ("sess_canary", USER),
        "event of session": ("sess_canary", USER),
        "errors": ("webhook-not-genuine", "not-storable", "internal-error", "store-unavailable", "token-not-valid"),
        "traces": ("POST /webhooks/clerk", "GET /v1/me", "INSERT INTO", "wait in outbox", USER),
    }.items():
        assert [text for text in telling if text not in written[stream]] == [], stream

    tokens = {f"token {number}": session.rpartition(".")[2] for number, session in enumerate(sessions)}
    signatures = {f"signature {number}": text for number, text in enumerate(somebody.signatures)}
    passwords = {f"password {number}": text for number, text in enumerate(re.findall(r":([^:@/]+)@", database_url))}
    private = {**PERSONAL, **NEVER_KEPT, **OF_A_CLIENT, **SECRETS, **tokens, **signatures, **passwords}
    assert {stream: found for stream, text in written.items() if (found := canaries_in(text, private))} == {}
