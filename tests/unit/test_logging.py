import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.documentation import ROOT

LOG_BOTH = """
import logging, structlog
from entrypoints.observability.logging import configure_logging
from entrypoints.config.settings import LogFormat, LogLevel, LogSettings
configure_logging(LogSettings(log_level=LogLevel.INFO, log_format=LogFormat.{format}))
structlog.get_logger().info("ours", number=1)
structlog.get_logger().debug("hidden")
logging.getLogger("some.library").warning("theirs %s", 2)
logging.getLogger("httpx").info("hidden")
logging.getLogger("alembic.runtime.plugins").info("hidden")
logging.getLogger("alembic.runtime.plugins.tables").info("hidden")
def divide(private):
    try:
        1 / 0
    except ZeroDivisionError:
        raise ValueError(private)
try:
    divide("hunter2")
except ValueError:
    logging.getLogger("some.library").exception("failed")
"""


def lines(log_format):
    return written(LOG_BOTH.format(format=log_format))


def written(program):
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == ""  # a command's output stays clean
    return done.stderr.splitlines()


def test_json_is_one_object_a_line_for_structlog_and_the_standard_library_alike():
    ours, theirs, failed = (json.loads(line) for line in lines("JSON"))

    assert (ours["event"], ours["level"], ours["number"]) == ("ours", "info", 1)
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("theirs 2", "warning", "some.library")
    assert [line.split(" ")[-1] for line in failed["exception"].splitlines()] == [
        *("<module>", "divide", "ValueError"),
        *("divide", "ZeroDivisionError"),
    ]
    assert ours["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["JSON", "CONSOLE"])
def test_an_error_is_told_without_its_text_and_the_values_around_it(log_format):
    text = "\n".join(lines(log_format))

    assert "ValueError" in text
    assert "hunter2" not in text


ASYNCIO = """
import asyncio
from entrypoints.observability.logging import configure_logging, log_loop_failures
from entrypoints.config.settings import LogFormat, LogLevel, LogSettings
configure_logging(LogSettings(log_level=LogLevel.INFO, log_format=LogFormat.JSON))
async def fail(private):
    raise ValueError(private)
async def run():
    log_loop_failures()
    task = asyncio.create_task(fail("hunter2"))
    await asyncio.wait([task])
asyncio.run(run())
"""


def test_a_failure_that_nobody_waited_for_is_told_without_its_text():
    [line] = written(ASYNCIO)
    told = json.loads(line)

    assert (told["event"], told["error"], told["level"]) == ("unhandled_error", "ValueError", "error")
    assert told["at"][-1].endswith(" fail")
    assert "hunter2" not in line


ABORTED = """
import asyncio
from entrypoints.observability.logging import configure_logging, log_loop_failures
from entrypoints.config.settings import LogFormat, LogLevel, LogSettings
configure_logging(LogSettings(log_level=LogLevel.INFO, log_format=LogFormat.JSON))
async def run():
    log_loop_failures()
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    context = {"message": "Fatal error on SSL protocol", "transport": transport}
    loop.call_exception_handler({**context, "exception": RuntimeError()})
    transport.abort()
    loop.call_exception_handler({**context, "exception": RuntimeError()})
    loop.call_exception_handler({**context, "exception": ValueError()})
    server.close()
asyncio.run(run())
"""


def test_what_uvloop_finds_behind_an_aborted_connection_is_no_failure():
    assert [json.loads(line)["error"] for line in written(ABORTED)] == ["RuntimeError", "ValueError"]


TRACED = """
import logging, structlog
from application.trace import traceparent
from entrypoints.observability.logging import configure_logging
from entrypoints.config.settings import LogFormat, LogLevel, LogSettings
configure_logging(LogSettings(log_level=LogLevel.INFO, log_format=LogFormat.JSON))
structlog.get_logger().info("outside")
traceparent.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
structlog.get_logger().info("ours")
logging.getLogger("some.library").warning("theirs")
"""


def test_every_line_that_comes_of_a_request_names_its_trace():
    outside, ours, theirs = map(json.loads, written(TRACED))

    assert "trace_id" not in outside
    assert ours["trace_id"] == theirs["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_off_a_terminal_auto_is_json():
    assert all(json.loads(line) for line in lines("AUTO"))


def test_console_is_for_people():
    text = "\n".join(lines("CONSOLE"))

    assert "ours" in text
    assert not text.startswith("{")


LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def log_events(file: Path) -> Iterator[str]:
    """The first text of each call on a `log`, and of `_log`, which takes the level before it."""
    for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match call:
            case ast.Call(func=ast.Attribute(attr="_log"), args=[_, ast.Constant(value=str() as event), *_]):
                yield event
            case ast.Call(func=ast.Attribute(value=of, attr=level), args=[ast.Constant(value=str() as event), *_]) if (
                level in LEVELS and ast.unparse(of).rpartition(".")[2] in {"log", "_log"}
            ):
                yield event


def test_log_events_are_names():
    events = [event for file in (ROOT / "src").rglob("*.py") for event in log_events(file)]

    assert len(events) > 20
    assert [event for event in events if not re.fullmatch(r"[a-z]+(_[a-z]+)*", event)] == []
