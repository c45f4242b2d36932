"""`dev --reload`: what makes serve and relay start anew."""

import asyncio
import sys

import pytest
from attrs import define, field

from devkit.local.process import ProcessFailedError
from devkit.local.reload import noticing, reload_on_change, source_folders
from devkit.servers.errors import EmbeddedStackError


@define(eq=False)
class Child:
    """A process as far as reloading knows one."""

    arguments: list[str]
    status: int | None = None
    stopped: list[bool] = field(factory=list)

    @property
    def name(self):
        return self.arguments[0]

    def begin_stop(self):
        self.stopped.append(True)

    def stop(self):
        self.stopped.append(True)

    def fail(self, what):
        return ProcessFailedError(f"{self.name} {what}")


@pytest.fixture
async def running(tmp_path):
    """Three processes that are reloaded when something changes in a folder."""
    processes = [Child(["serve", "--workers=1"]), Child(["relay"]), Child(["clerk-stand-in"])]
    said: list[str] = []
    async with noticing([tmp_path]) as changed:
        task = asyncio.create_task(reload_on_change(changed, processes, [], Child, said.append))
        yield processes, said, task
        task.cancel()
        await asyncio.wait([task])


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_changed_file_starts_serve_and_relay_anew_and_nothing_else(running, tmp_path):
    processes, said, _ = running
    serve, relay, stand_in = processes
    (tmp_path / "notes.txt").write_text("no code")

    for number in (1, 2):
        (tmp_path / "code.py").write_text(f"{number}")
        await until(lambda number=number: len(said) == number)

    assert said == ["code.py has changed: serve and relay start anew."] * 2
    assert [process.arguments for process in processes] == [["serve", "--workers=1"], ["relay"], ["clerk-stand-in"]]
    assert processes[2] is stand_in
    assert serve.stopped
    assert relay.stopped
    assert not stand_in.stopped


async def test_one_that_ends_by_itself_is_told_once_and_waits_for_the_next_change(running, tmp_path):
    processes, said, task = running
    processes[0].status = 1
    await until(lambda: said)
    await asyncio.sleep(0.5)

    assert said == ["serve ended (exit status 1). Waiting for the next change."]
    assert not task.done()
    (tmp_path / "code.py").write_text("mended")
    await until(lambda: processes[0].status is None)


async def test_the_end_of_anything_else_is_the_end(running):
    processes, _, task = running
    processes[2].status = 3

    with pytest.raises(ProcessFailedError, match="clerk-stand-in"):
        await asyncio.wait_for(task, 20)


async def test_a_change_is_noticed_from_the_first_moment_on(tmp_path):
    async with noticing([tmp_path]) as changed:
        (tmp_path / "code.py").write_text("")
        await until(lambda: changed() == "code.py")


async def test_folders_that_cannot_be_watched_are_told_with_what_helps(tmp_path):
    async with noticing([tmp_path / "missing"]) as changed:
        with pytest.raises(EmbeddedStackError, match=r"cannot be watched: .*\n.*max_user_watches"):
            await until(changed)


def test_the_folders_are_those_that_serve_and_relay_import():
    names = {folder.name for folder in source_folders()}

    assert names == {"adapters", "anomalyze_auth", "application", "domain", "entrypoints"}
    assert all(str(folder.parent) in sys.path for folder in source_folders())
