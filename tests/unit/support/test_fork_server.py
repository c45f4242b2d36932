"""A forked command ends as one that is started in the usual way."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support import commands


def a_file(folder: Path) -> int:
    return os.open(folder / "output", os.O_WRONLY | os.O_CREAT)


def a_full_disk(folder: Path) -> int:
    return os.open("/dev/full", os.O_WRONLY)


def a_pipe_that_nobody_reads(folder: Path) -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("output", [a_file, a_full_disk, a_pipe_that_nobody_reads])
def test_its_status_and_what_it_says_are_the_same(output: Callable[[Path], int], tmp_path: Path):
    def ended(way: str, env: dict[str, str]) -> tuple[int, str]:
        errors, out = os.open(tmp_path / way, os.O_WRONLY | os.O_CREAT), output(tmp_path)
        try:
            status = commands.start("config", cwd=tmp_path, env=env, output=out, errors=errors).wait(60)
        finally:
            os.close(errors)
            os.close(out)
        return status, (tmp_path / way).read_text()

    assert ended("forked", {}) == ended("anew", commands.ANEW)
