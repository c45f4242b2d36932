"""`auth-service serve` that is configured by a `.env`, and by nothing else, as a machine of one's own would have it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import define, field

from devkit.servers.ports import free_port
from support import processes

WORKERS = 2


@define
class Configured:
    """A running service, its `.env`, and the way to make it read that again."""

    process: processes.Process
    env_file: Path
    url: str
    variables: dict[str, str]
    _reloads: int = field(default=0, init=False)

    def change(self, **changes: str) -> None:
        """Change `.env` and ask for a reload, as docs/rotation.md does; an empty text takes a variable out."""
        self.variables |= changes
        write(self.env_file, self.variables)
        self.process.popen.send_signal(signal.SIGHUP)  # to the first process only

    async def reconfigure(self, **changes: str) -> None:
        """Change `.env`, and wait until new workers have taken over one by one."""
        self._reloads += 1
        self.change(**changes)
        await asyncio.to_thread(self.process.wait_for, "leaving", count=WORKERS * self._reloads, within=60)
        await asyncio.sleep(1)  # until the second one has left


Start = Callable[..., Configured]


@pytest.fixture
def configured(tmp_path: Path, database_url: str) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(**variables: str) -> Configured:
            variables = {"DATABASE_URL": database_url, **variables}
            env_file = tmp_path / ".env"
            write(env_file, variables)
            port = free_port()
            serving = processes.running(tmp_path, "serve", "--port", str(port), "--workers", str(WORKERS))
            return Configured(stack.enter_context(serving), env_file, f"http://127.0.0.1:{port}", variables)

        yield start


def write(env_file: Path, variables: dict[str, str]) -> None:
    """Replace the file in one step, since a worker may be reading it."""
    lines = [f'{name}="{value}"\n' for name, value in variables.items() if value]
    new = env_file.with_suffix(".new")
    new.write_text("".join(lines).replace("\n-----END", "\\n-----END"))
    new.replace(env_file)
