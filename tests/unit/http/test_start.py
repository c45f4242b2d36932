"""A start that fails."""

import asyncio

from dependency_injector.providers import Object
from structlog.testing import capture_logs

from entrypoints.composition import container_of
from entrypoints.composition.serve import ServeContainer
from entrypoints.config.loading import load
from entrypoints.config.settings import ServeSettings
from entrypoints.http.app import app_for
from entrypoints.http.middleware.graceful_shutdown import GracefulShutdown
from support.web import NO_FILE, environment


class Broken:
    async def start(self) -> None:
        raise LookupError("a row of ada@example.org")


async def test_what_stops_the_start_is_told_by_kind_and_place_and_not_by_its_text():
    container = container_of(ServeContainer, load(ServeSettings, environment=environment(), env_file=NO_FILE))
    container.postgres_user_store.override(Object(Broken()))
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    await inbox.put({"type": "lifespan.startup"})

    with capture_logs() as logs:
        starting = asyncio.create_task(
            app_for(container, GracefulShutdown(0))(
                {"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put
            )
        )
        told = await outbox.get()
        await asyncio.gather(starting, return_exceptions=True)

    assert told["type"] == "lifespan.startup.failed"
    assert "LookupError" in told["message"]
    assert "ada@example.org" not in told["message"] + repr(logs)
    [line] = [line for line in logs if line["event"] == "lifespan_failed"]
    assert line["error"] == "LookupError"
    assert "test_start.py" in line["at"][-1]
