"""Log lines on their way out of the process, and somebody who does not read them."""

import asyncio
import os

import pytest

from entrypoints.observability.log_stream import LogStream


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "w") as writer:
        yield reader, writer


def everything(reader) -> list[str]:
    return (reader.read() or b"").decode().splitlines()


async def log(stream: LogStream, *lines: str) -> None:
    for line in lines:
        stream.write(line + "\n")
        stream.flush()
    await asyncio.sleep(0)


async def read_more(reader) -> bytes:
    """Give the stream time to try again, then read what the pipe holds."""
    await asyncio.sleep(0.01)
    return reader.read() or b""


async def test_the_lines_of_a_turn_are_written_in_order_when_it_ends(pipe):
    reader, writer = pipe
    stream = LogStream(writer)

    stream.write("one\n")
    stream.flush()
    before = everything(reader)
    await log(stream, "two", "three")

    assert before == []
    assert everything(reader) == ["one", "two", "three"]


def test_without_a_loop_each_line_is_written_at_once(pipe):
    reader, writer = pipe
    stream = LogStream(writer)

    stream.write("one\n")
    stream.flush()

    assert everything(reader) == ["one"]


async def test_a_reader_that_stalls_stops_nobody_and_gets_every_line_that_was_kept(pipe):
    reader, writer = pipe
    stream = LogStream(writer, retry_s=0.001)
    lines = [f"{number:0100}" for number in range(3_000)]  # 300 KB; the pipe holds 64

    for line in lines:
        await log(stream, line)
    text = b""
    while text.count(b"\n") < len(lines):
        text += reader.read() or b""
        await asyncio.sleep(0.001)

    assert text.decode().splitlines() == lines


async def test_what_nobody_reads_for_too_long_is_dropped_and_counted(pipe):
    reader, writer = pipe
    stream = LogStream(writer, kept_bytes=10_000, retry_s=0.001)

    for number in range(3_000):
        await log(stream, f"{number:0100}")
    text = b""
    while read := await read_more(reader):
        text += read
    await log(stream, "after")
    *kept, told, after = (text + await read_more(reader)).decode().splitlines()

    assert kept == [f"{number:0100}" for number in range(len(kept))]
    assert told == f'{{"level":"warning","event":"log_lines_dropped","count":{3_000 - len(kept)}}}'
    assert after == "after"


async def test_a_reader_that_is_gone_stops_nobody(pipe):
    reader, writer = pipe
    stream = LogStream(writer)
    reader.close()

    for _ in range(3):
        await log(stream, "a line")


async def test_a_file_gets_its_lines_too(tmp_path):
    with (tmp_path / "log").open("w") as file:
        await log(LogStream(file), "one", "two")

    assert (tmp_path / "log").read_text() == "one\ntwo\n"
