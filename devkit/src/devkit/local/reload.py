"""`dev --reload`: restarts serve and relay when their code changes; servers, data and the stand-in keep running."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import entrypoints
from devkit.local.process import Part, ServiceProcess, raise_if_ended, raise_if_unshown, stop_all
from devkit.servers.errors import EmbeddedStackError

RELOADED = ("serve", "relay")
_LOOK_S = 0.2


async def reload_on_change(
    changed: Callable[[], str | None],
    processes: list[ServiceProcess],
    servers: Sequence[Part],
    start: Callable[[Sequence[str]], ServiceProcess],
    say: Callable[[str], object],
) -> NoReturn:
    """Restart serve and relay when their code changes.

    One that ends by itself, for example with a syntax error, is reported once, and restarted at the next change.

    Raises:
        ProcessFailedError, EmbeddedStackError: anything else has ended.
        OSError: nobody can be shown any more what they say.
    """
    reported: set[ServiceProcess] = set()
    while True:
        ours = [process for process in processes if process.name in RELOADED]
        raise_if_unshown(ours)
        raise_if_ended([*servers, *(process for process in processes if process not in ours)])
        if name := changed():
            say(f"{name} has changed: serve and relay start anew.")
            await stop_all(ours)
            processes[:] = [start(each.arguments) if each in ours else each for each in processes]
        for ended in {process for process in processes if process.status is not None} - reported:
            reported.add(ended)
            say(f"{ended.name} ended (exit status {ended.status}). Waiting for the next change.")
        await asyncio.sleep(_LOOK_S)


def source_folders() -> list[Path]:
    """Return where the code of serve and relay is."""
    [ours] = entrypoints.__path__
    sdk = find_spec("anomalyze_auth")
    folders = [Path(ours).parent / layer for layer in ("adapters", "application", "domain", "entrypoints")]
    return folders + [Path(each) for each in (sdk.submodule_search_locations if sdk else None) or ()]


@asynccontextmanager
async def noticing(folders: Sequence[Path]) -> AsyncIterator[Callable[[], str | None]]:
    """Watch the folders; what is given returns a Python file that changed since it was asked last, or None.

    Raises:
        EmbeddedStackError: when it is asked: they cannot be watched.
    """
    from watchfiles import PythonFilter, awatch  # noqa: PLC0415  # for this option alone

    found: list[str] = []

    async def watch() -> None:
        async for changes in awatch(*folders, watch_filter=PythonFilter()):
            found.extend(Path(path).name for _, path in changes)

    def changed() -> str | None:
        if watching.done():
            _raise_what_ended(watching)
        name = found[0] if found else None
        found.clear()
        return name

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)  # from here on nothing is missed: the watcher is made in the task's first step
    try:
        yield changed
    finally:
        watching.cancel()
        await asyncio.wait([watching])


def _raise_what_ended(watching: "asyncio.Task[None]") -> None:
    try:
        watching.result()
    except OSError as error:
        raise EmbeddedStackError(
            f"The source files cannot be watched: {error}.",
            "Where the system watches as many files as it may, raise fs.inotify.max_user_watches, or set "
            "WATCHFILES_FORCE_POLLING=true.",
        ) from None
