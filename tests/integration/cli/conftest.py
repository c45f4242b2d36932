import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from support.clerk_stand_in import RunningStandIn
from support.users_stage import Stage


@pytest.fixture
def processes_of() -> Callable[[Path], list[str]]:
    """What still runs in a folder, or was told about it in its arguments."""

    def below(folder: Path) -> list[str]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                command = " ".join(process.cmdline())
                there = Path(process.cwd()).is_relative_to(folder) or str(folder) in command
                if there and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(command)
        return found

    return below


@pytest.fixture
def gone(processes_of) -> Callable[[Path], bool]:
    """Wait until nothing runs in a folder any more."""

    def wait(folder: Path, seconds: float = 60.0) -> bool:
        deadline = time.monotonic() + seconds
        while processes_of(folder):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    return wait


@pytest.fixture
def stage(database_url: str, tmp_path: Path, clerk_stand_in: RunningStandIn) -> Stage:
    return Stage(database_url, tmp_path, clerk_stand_in)
