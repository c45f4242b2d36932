"""A command of ours as a child process, and what it says."""

import asyncio
import os
import signal
import time

import pytest

from devkit.local.process import ServiceProcess, raise_if_ended
from entrypoints.cli.until_signal import run_until_signal


def test_when_what_it_says_cannot_be_shown_any_more_it_goes_on_and_that_is_told(tmp_path):
    shown = []

    def show(line):
        shown.append(line)
        raise BrokenPipeError

    with (tmp_path / "lock").open("w") as lock:
        # It prints more than a pipe holds: if nobody read it, it would not end.
        process = ServiceProcess(["openapi"], environment={}, cwd=tmp_path, lock=lock.fileno(), on_line=show)
        deadline = time.monotonic() + 60
        while process.status is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.stop()

    assert process.status == 0
    assert shown == ["{"]
    assert process.tail.endswith("}")
    with pytest.raises(BrokenPipeError):
        raise_if_ended([process])


def test_a_signal_ends_it_also_when_that_cannot_be_said():
    """As in `dev | tee log`, where Ctrl-C ends tee too."""
    ended = []

    async def main():
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    def say():
        raise BrokenPipeError

    assert run_until_signal(main(), on_signal=say) is None
    assert ended
