import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def processes_below() -> Callable[[Path], list[psutil.Process]]:
    """Living processes that work in a folder, whoever their parent is."""

    def below(folder: Path) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder):
                    found.append(process)
        return found

    return below


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], bool]:
    def wait(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    return wait
