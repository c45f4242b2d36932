import json
import subprocess
import sys

LOG_BOTH = """
import logging, structlog
from entrypoints.logging import configure_logging
from entrypoints.settings import LogFormat, LogLevel, LogSettings
configure_logging(LogSettings(log_level=LogLevel.INFO, log_format=LogFormat.{format}))
structlog.get_logger().info("ours", number=1)
structlog.get_logger().debug("hidden")
logging.getLogger("some.library").warning("theirs %s", 2)
logging.getLogger("httpx").info("hidden")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("some.library").exception("failed")
"""


def lines(log_format):
    done = subprocess.run(
        [sys.executable, "-c", LOG_BOTH.format(format=log_format)],
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
    assert "ZeroDivisionError" in failed["exception"]
    assert ours["timestamp"].endswith("Z")


def test_off_a_terminal_auto_is_json():
    assert all(json.loads(line) for line in lines("AUTO"))


def test_console_is_for_people():
    text = "\n".join(lines("CONSOLE"))

    assert "ours" in text
    assert not text.startswith("{")
