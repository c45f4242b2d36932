import io
from contextlib import asynccontextmanager

import pytest
from rich.console import Console

from devkit.commands import demo
from devkit.servers.errors import EmbeddedStackError
from support.demo_stage import FakeStage


class Child:
    name = "relay"
    tail = "the last line of its log"


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120, highlight=False)


@pytest.fixture
def on_stage(monkeypatch):
    """Put a stage in the place of the real one."""

    def put(stage):
        @asynccontextmanager
        async def open_stage(progress):
            progress("open")
            yield stage

        monkeypatch.setattr(demo, "open_stage", open_stage)

    return put


async def test_all_as_it_should_be_is_status_0_and_tells_what_to_try_next(on_stage, console):
    on_stage(FakeStage())

    status = await demo._demo(console)

    assert status == 0
    assert "checks hold, in" in console.file.getvalue()
    assert "auth-service trigger user.created" in console.file.getvalue()


async def test_a_difference_is_status_1_and_named_at_the_end(on_stage, console):
    on_stage(FakeStage(more_events=1))

    status = await demo._demo(console)

    assert status == 1
    assert "✗ Other than expected: The same delivery again" in console.file.getvalue()
    assert "What to try next" not in console.file.getvalue()


async def test_a_step_that_breaks_off_is_status_1_and_shows_the_logs(on_stage, console):
    class Broken(FakeStage):
        serve = relay = Child()

        async def next_event(self):
            raise TimeoutError("no event")

    on_stage(Broken())

    status = await demo._demo(console)

    assert status == 1
    assert "✗ STOPPED  TimeoutError: no event" in console.file.getvalue()
    assert "the last line of its log" in console.file.getvalue()


async def test_servers_that_cannot_start_are_status_1_and_say_why(monkeypatch, console):
    @asynccontextmanager
    async def open_stage(progress):
        raise EmbeddedStackError("Kafka has no disk.", "Free some space.")
        yield

    monkeypatch.setattr(demo, "open_stage", open_stage)

    status = await demo._demo(console)

    assert status == 1
    assert "Kafka has no disk.\nFree some space." in console.file.getvalue()
