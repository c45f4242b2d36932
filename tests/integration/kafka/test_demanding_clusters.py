"""Every command and the SDK's consumer, at brokers that demand a client certificate or an access token."""

import asyncio
import itertools
import json
import os
import subprocess
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from anomalyze_auth.consumer import InMemoryLastSeen, UserEvents, any_record
from anomalyze_auth.events import UserEvent
from anomalyze_auth.kafka import KafkaConnection
from support import commands, processes
from support.authority import Authority
from support.demanding_kafka import CLIENT_SECRET
from support.writing import writer

_numbers = itertools.count(1)


@pytest.fixture(params=["mtls", "oauth"])
def variables(request, demanding, tokens) -> dict[str, str]:
    """What a process at one of the listeners is configured with, and a topic of its own."""
    return admitted(request.param, demanding, tokens)


def admitted(how: str, demanding, tokens) -> dict[str, str]:
    common = {
        "KAFKA_SSL_CA_FILE": str(demanding.authority.file),
        "KAFKA_USER_EVENTS_TOPIC": f"users-{os.getpid()}-{next(_numbers)}",
    }
    if how == "oauth":
        return {"KAFKA_BOOTSTRAP_SERVERS": demanding.oauth, **common, **tokens.variables}
    pair = demanding.authority.issue(f"client-{next(_numbers)}", password="opensesame")
    return {
        "KAFKA_BOOTSTRAP_SERVERS": demanding.mtls,
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CERT_FILE": str(pair.certificate),
        "KAFKA_SSL_KEY_FILE": str(pair.key),
        "KAFKA_SSL_KEY_PASSWORD": "opensesame",
        **common,
    }


def run(folder: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.run(*arguments, env=variables, cwd=folder)


def doctor(folder: Path, variables: dict[str, str]) -> dict[str, dict[str, str]]:
    return {finding["check"]: finding for finding in json.loads(run(folder, variables, "doctor", "--json").stdout)}


async def test_every_command_and_the_sdk_are_let_in(tmp_path, variables, database_url):
    topic = variables["KAFKA_USER_EVENTS_TOPIC"]
    created = run(tmp_path, variables, "topic", "create")
    checked = run(tmp_path, variables, "topic", "check")
    findings = doctor(tmp_path, {**variables, "DATABASE_URL": database_url})
    servers = {"bootstrap_servers": variables["KAFKA_BOOTSTRAP_SERVERS"]}
    more = {name: text for name, text in variables.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    more.pop("KAFKA_USER_EVENTS_TOPIC")
    async with writer(database_url) as users:
        await users.changes(3)
        with processes.relay(tmp_path, database_url, servers["bootstrap_servers"], topic, **more):
            seen = await consumed(variables, topic, sum(users.newest.values()))
        tailed = run(tmp_path, variables, "events", "tail", "--from-beginning", "--limit", "24", "--json")

    assert (created.returncode, f"{topic}: created" in created.stdout) == (0, True), created
    assert checked.returncode == 0, checked
    assert findings["kafka"]["severity"] == "ok", findings
    assert findings["topic rights"]["severity"] == "ok"
    assert seen == {user: [1, 2, 3] for user in users.users}
    assert len(tailed.stdout.splitlines()) == 24, tailed


async def consumed(variables: dict[str, str], topic: str, count: int) -> dict[str, list[int]]:
    """Read so many events as a platform's service does: with FastStream, configured by the SDK."""
    broker = KafkaBroker(**KafkaConnection.from_environment(variables).broker_options())
    events, complete = UserEvents(InMemoryLastSeen()), asyncio.Event()
    seen: dict[str, list[int]] = {}

    async def handle(event: UserEvent) -> None:
        seen.setdefault(event.user_id, []).append(event.version)
        if sum(map(len, seen.values())) == count:
            complete.set()

    broker.subscriber(
        topic,
        group_id=f"sdk-{topic}",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        parser=any_record,
    )(events.subscriber(handle))
    async with broker:
        await broker.start()
        await asyncio.wait_for(complete.wait(), 60)
    return seen


async def test_an_aiokafka_client_of_the_sdk_is_let_in(tmp_path, variables):
    run(tmp_path, variables, "topic", "create")
    connection = KafkaConnection.from_environment(variables)

    async with AIOKafkaConsumer(variables["KAFKA_USER_EVENTS_TOPIC"], **connection.client_options()) as consumer:
        assert len(consumer.assignment()) == 6


def no_certificate(demanding, tokens) -> dict[str, str]:
    variables = admitted("mtls", demanding, tokens)
    return {name: text for name, text in variables.items() if "CERT" not in name and "KEY" not in name}


def certificate_of_another_authority(demanding, tokens) -> dict[str, str]:
    folder = demanding.folder / f"other-{next(_numbers)}"
    folder.mkdir()
    pair = Authority(folder, "other").issue("stranger")
    files = {"KAFKA_SSL_CERT_FILE": str(pair.certificate), "KAFKA_SSL_KEY_FILE": str(pair.key)}
    return {**no_certificate(demanding, tokens), **files}


def nobody_at_the_token_endpoint(demanding, tokens) -> dict[str, str]:
    return {**admitted("oauth", demanding, tokens), "KAFKA_OAUTH_TOKEN_URL": "http://127.0.0.1:1/token"}


def wrong_client_secret(demanding, tokens) -> dict[str, str]:
    tokens.secret = "another"
    return admitted("oauth", demanding, tokens)


def no_token_endpoint_there(demanding, tokens) -> dict[str, str]:
    return {**admitted("oauth", demanding, tokens), "KAFKA_OAUTH_TOKEN_URL": f"{tokens.server.url}/token"}


def token_for_somebody_else(demanding, tokens) -> dict[str, str]:
    tokens.audience = "another"
    return admitted("oauth", demanding, tokens)


def a_certificate_where_a_token_is_wanted(demanding, tokens) -> dict[str, str]:
    return {**admitted("mtls", demanding, tokens), "KAFKA_BOOTSTRAP_SERVERS": demanding.oauth}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (no_certificate, "requires a client certificate, and KAFKA_SSL_CERT_FILE is not set"),
        (certificate_of_another_authority, "refuses the client certificate in KAFKA_SSL_CERT_FILE"),
        (nobody_at_the_token_endpoint, "no access token (http://127.0.0.1:1/token: connection refused)"),
        (wrong_client_secret, "/token: refused, 401 invalid_client)"),
        (token_for_somebody_else, "refuses the access token"),
        (a_certificate_where_a_token_is_wanted, "is its security protocol SSL?"),
    ],
)
def test_doctor_and_commands_name_the_cause(tmp_path, demanding, tokens, wrong, says):
    variables = wrong(demanding, tokens)
    finding = doctor(tmp_path, variables)["kafka"]
    checked = run(tmp_path, variables, "topic", "check")
    tailed = run(tmp_path, variables, "events", "tail", "--limit", "1")

    assert (finding["severity"], says in finding["says"]) == ("failure", True), finding
    for done in (checked, tailed):
        assert done.returncode != 0
        assert says in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        assert CLIENT_SECRET not in done.stderr
