"""Where a run was made, and how busy others kept the machine: figures mean nothing without it."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

_PACKAGES = ("litestar", "granian", "uvloop", "sqlalchemy", "asyncpg", "aiokafka", "faststream", "svix", "pyjwt")


def description() -> dict[str, str]:
    return {
        "machine": f"{_cpu_model()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "node": _output("node", "--version"),
    }


def load() -> str:
    """What others do to the machine at this moment: averages, and one second of measuring."""
    busy = psutil.cpu_percent(interval=1)
    steal = getattr(psutil.cpu_times_percent(interval=0.5), "steal", 0.0)
    averages = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"load average {averages}; CPU busy {busy:.0f} %, stolen {steal:.0f} %"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "none"
