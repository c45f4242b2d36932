"""`auth-service serve` behind each proxy, in front of an application that tells what reached it."""

import os
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from support.http_process import Served, start, wait_until_it_answers
from support.http_server import Answer, HttpServer, http_server
from support.proxies import CONFIGURATIONS, proxy
from support.web import created, deleted, signed

GOOD, BANNED, GONE = "user_good", "user_banned", "user_gone"


@pytest.fixture(scope="package")
async def service(postgres_address: str, template: str) -> AsyncIterator[Served]:
    """A service that knows a good user, a banned one and a deleted one."""
    name = f"auth_proxies_{os.getpid()}"
    admin = await asyncpg.connect(postgres_address)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    served = start(DATABASE_URL=urlunsplit(urlsplit(postgres_address)._replace(path=f"/{name}")))
    try:
        wait_until_it_answers(served)
        async with httpx.AsyncClient(base_url=served.url) as client:
            for body in (created(GOOD), created(BANNED, banned=True), deleted(GONE)):
                (await client.post("/webhooks/clerk", content=body, headers=signed(body))).raise_for_status()
        yield served
    finally:
        served.stop()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture(scope="package")
def running_application() -> Iterator[HttpServer]:
    def echo(request):
        return Answer(document={"headers": request.headers, "body": request.body.decode()})

    with http_server(echo) as server:
        yield server


@pytest.fixture
def application(running_application: HttpServer) -> HttpServer:
    running_application.requests.clear()
    return running_application


@pytest.fixture(scope="package", params=CONFIGURATIONS)
def name(request: pytest.FixtureRequest) -> str:
    """Of the proxy."""
    return request.param


@pytest.fixture(scope="package")
def url(name, service, running_application, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp(name)
    with proxy(name, folder, service=service.port, application=running_application.port) as address:
        yield address
