"""Every example of the README, pasted into a file of its own and run."""

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx
import pytest
from faststream.kafka import TestKafkaBroker
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from anomalyze_auth import Reason
from sdktest.messages import deleted, updated
from sdktest.serving import served
from sdktest.tokens import PARTY, claims, jwk, pem, signed

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", README, re.DOTALL))
WEB = ["fastapi", "litestar", "starlette", "quart"]


@pytest.fixture
def issuer(monkeypatch, jwks_server) -> str:
    jwks_server.answer_keys(jwk())
    monkeypatch.setenv("CLERK_ISSUER", jwks_server.origin)
    monkeypatch.setenv("CLERK_AUTHORIZED_PARTIES", f"{PARTY},https://other.example.com")
    monkeypatch.setenv("CLERK_JWT_KEY", pem())
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    return jwks_server.origin


@pytest.fixture
def pasted(tmp_path: Path, monkeypatch) -> Callable[[str], ModuleType]:
    def paste(example: str) -> ModuleType:
        name = f"readme_{example}"
        file = tmp_path / f"{name}.py"
        file.write_text(EXAMPLES[example])
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return paste


def bearer(issuer: str, **changes) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed(claims(time.time(), iss=issuer, **changes))}"}


def test_every_python_block_is_an_example_that_is_run():
    assert README.count("```python") == len(EXAMPLES)
    assert set(EXAMPLES) == {*WEB, "verify", "faststream", "tracing", "transaction", "bootstrap", "revocations"}


@pytest.fixture(params=WEB)
def client(request: pytest.FixtureRequest, issuer: str, pasted) -> Iterator[httpx.Client]:
    app = pasted(request.param).app
    with served(app, lifespan="on") as origin, httpx.Client(base_url=origin) as client:
        yield client


def test_a_web_example_works_when_it_is_pasted(client: httpx.Client, issuer: str):
    reader = {"fea": "o:billing", "o": {"id": "org_1", "rol": "member", "per": "read", "fpm": "1"}}

    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/hello").status_code == 401
    assert client.get("/hello", headers=bearer("https://elsewhere.example.com")).json()["reason"] == "issuer-mismatch"
    assert client.get("/hello", headers=bearer(issuer)).json() == {"user_id": "user_2abcDEFghi"}
    assert client.get("/billing", headers=bearer(issuer)).json()["code"] == "permission-required"
    assert client.get("/billing", headers=bearer(issuer, **reader)).json() == {"organization": "org_1"}


@pytest.mark.parametrize(
    ("changes", "printed"),
    [
        ({}, "user_2abcDEFghi"),
        ({"act": {"sub": "user_admin"}}, "user_admin acting as user_2abcDEFghi"),
        ({"exp": 1}, "401 token-expired: The token has expired."),
    ],
)
def test_the_example_without_a_framework_prints_who_calls(changes, printed: str, issuer: str):
    token = bearer(issuer, **changes)["Authorization"].removeprefix("Bearer ")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES["verify"]],
        env={**os.environ, "TOKEN": token, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert run.stdout.strip() == printed


async def test_the_faststream_example_follows_users(issuer: str, pasted):
    example = pasted("faststream")
    async with TestKafkaBroker(example.broker) as broker:
        for headers, value in [updated(1), updated(2), updated(1), updated(1, "user_2"), deleted(3), updated(2)]:
            await broker.publish(value, example.TOPIC, headers=headers)

    assert example.names == {"user_2": "Ada"}


async def test_the_tracing_example_continues_the_trace_of_the_event(issuer: str, pasted, monkeypatch):
    exported = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    example = pasted("tracing")
    headers, value = updated(1)
    async with TestKafkaBroker(example.broker) as broker:
        # The middleware is the publisher's here too: its header comes of the span that is current.
        with provider.get_tracer("elsewhere").start_as_current_span("webhook") as webhook:
            await broker.publish(value, example.TOPIC, headers=headers)
    [greeted] = [span for span in exported.get_finished_spans() if span.name == "greet"]

    assert greeted.context.trace_id == webhook.get_span_context().trace_id
    assert greeted.attributes == {"user.id": "user_1"}


async def test_the_transaction_example_has_one_effect_of_each_version(pasted):
    example = pasted("transaction")

    def record(message) -> SimpleNamespace:
        headers, value = message
        return SimpleNamespace(headers=tuple((name, text.encode()) for name, text in headers.items()), value=value)

    def stored(table: str) -> list[tuple[object, ...]]:
        return example.database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()

    for message in [updated(1), updated(2), updated(1), updated(1, "user_2"), deleted(3), updated(2)]:
        await example.on_record(record(message))

    assert stored("customers") == [("user_2", "ada@example.com")]
    assert stored("user_versions") == [("user_1", 3), ("user_2", 1)]
    with pytest.raises(ValueError, match="ce_specversion"):
        await example.on_record(SimpleNamespace(headers=(), value=b""))
    assert not example.database.in_transaction
    example.database.close()


def test_the_readme_lists_every_reason():
    assert not [reason for reason in Reason if f"`{reason}`" not in README]
