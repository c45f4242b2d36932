"""`auth-service dev --reload`: the code of serve and relay is edited while everything runs."""

import os
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest

import entrypoints
from devkit.servers.ports import free_port
from support.python_path import PYTHON_PATH
from support.second_terminal import command, dev, events, wait_for

pytestmark = pytest.mark.stacks

WORDS = "the HTTP API, to read and to try"
START = 'log = structlog.get_logger("relay")'


@pytest.fixture
def source(tmp_path):
    """A copy of the source that a test may edit."""
    [ours] = entrypoints.__path__
    return Path(shutil.copytree(Path(ours).parent, tmp_path / "src"))


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def wait_for_page(port, words, process, within=300):
    deadline = time.monotonic() + within
    while True:
        try:
            if words in httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text:
                return
        except httpx.TransportError:
            pass  # it starts anew
        assert process.alive, process.text()
        assert time.monotonic() < deadline, process.text()
        time.sleep(0.02)


def test_a_change_is_served_and_relayed_a_syntax_error_is_told_and_ctrl_c_ends_all(tmp_path, source, gone):
    page, relay = source / "entrypoints/http/routes/root.py", source / "entrypoints/relay/app.py"
    folder, port = tmp_path / "here", free_port()
    folder.mkdir()
    with dev(folder, port, "--reload", PYTHONPATH=f"{source}{os.pathsep}{PYTHON_PATH}") as process:
        edit(page, WORDS, "as changed once")
        wait_for_page(port, "as changed once", process)
        assert "root.py has changed: serve and relay start anew." in process.text()

        edit(relay, START, f"{START}\nprint('as changed in the relay')")
        wait_for(process, "relay | as changed in the relay", within=300)
        wait_for_page(port, "as changed once", process)
        assert command(folder, "trigger", "user.created", "--user", "user_ada").returncode == 0
        assert len(events(folder, "--limit", "1")) == 1

        edit(page, "as changed once", '" + syntax error')
        wait_for(process, "serve ended (exit status 1). Waiting for the next change.", within=300)
        assert "SyntaxError" in process.text()
        assert process.alive
        edit(page, '" + syntax error', "as mended")
        wait_for_page(port, "as mended", process)

        os.kill(process.popen.pid, signal.SIGINT)
        assert process.popen.wait(60) == 0
    assert gone(tmp_path)
