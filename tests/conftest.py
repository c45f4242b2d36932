"""What every test run says about itself."""

import gc
import inspect
import os
import signal
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

from support import authorities, servers, shared_servers

ssl.create_default_context = authorities.create_default_context

# What tests ask with, unless told otherwise: httpx's own 5 s are less than a busy machine may take for an answer. The
# service's own clients name their limits.
_time_limits = inspect.signature(httpx.Client).parameters["timeout"].default
_time_limits.connect = _time_limits.read = 60.0

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.register_profile("ci", parent=settings.get_profile("default"), print_blob=True)
settings.register_profile("few", parent=settings.get_profile("default"), max_examples=20, derandomize=True)
settings.register_profile("many", parent=settings.get_profile("default"), max_examples=2500, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


def pytest_configure(config: pytest.Config) -> None:
    """Choose the servers once, for all workers of a run, which share them."""
    servers.new_data = partial(shared_servers.address, config, "new data")
    if hasattr(config, "workerinput"):
        return
    if servers.kind() != "given":
        os.environ["TEST_SERVERS"] = servers.kind()
    config.pluginmanager.register(shared_servers.SharedServers(), shared_servers.NAME)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep modules and tests, which stay until the end, out of garbage collections: 400,000 objects, 0.4 s each."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_report_header() -> str:
    what = {
        "given": "the ones that TEST_DATABASE_URL and TEST_KAFKA_BOOTSTRAP_SERVERS name",
        "containers": f"containers ({servers.POSTGRES_IMAGE}, {servers.KAFKA_IMAGE})",
        "embedded": "embedded (no Docker daemon with the images answered, or TEST_SERVERS=embedded)",
    }[servers.kind()]
    return f"real servers: {what}"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Leave `.ci/run` the status that pytest ends with; make tells only that it is not 0."""
    file = os.environ.get("PYTEST_STATUS_FILE")
    if file and not hasattr(session.config, "workerinput"):
        Path(file).write_text(str(int(exitstatus)), encoding="ascii")


# A shell starts what it puts into the background with SIGINT ignored, and every process that a test starts would
# inherit that; some of them are sent one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
