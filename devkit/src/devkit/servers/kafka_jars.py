"""Apache Kafka's jars: downloaded once by a Maven client, checked against `kafka-jars.lock`, then cached.

The lock file is what `org.apache.kafka:kafka_2.13` (the broker) resolves to, and the binding that sends
Kafka's log to log4j: one `group:artifact:version size sha256` a line. No dependency is resolved at run time.
"""

import hashlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import attrs

from devkit.servers.errors import EmbeddedStackError

_LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")
_ATTEMPTS = 3
_CONNECTIONS = 6


@attrs.frozen(kw_only=True)
class _Jar:
    """One line of the lock file; `size` in bytes, `sha256` in hex."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def is_whole(self, path: Path) -> bool:
        """Whether the file is there and is exactly this jar."""
        try:
            content = path.read_bytes()
        except OSError:
            return False
        return hashlib.sha256(content).hexdigest() == self.sha256


def kafka_jars(progress: Callable[[str], None] = lambda _: None) -> list[Path]:
    """The jars of the class path, downloading what is missing or damaged.

    Args:
        progress: Called with a line of text now and then; what it raises ends the download.

    Raises:
        EmbeddedStackError: No network, no space, or a download that is not what the lock file pins.
    """
    jars = _pinned()
    folder = cache_dir() / "kafka-jars"
    if all(jar.is_whole(folder / jar.file_name) for jar in jars):
        return [folder / jar.file_name for jar in jars]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _download_lock(folder, progress):
            _download([jar for jar in jars if not jar.is_whole(folder / jar.file_name)], folder, progress)
    except OSError as error:
        raise EmbeddedStackError(
            f"Kafka's jars cannot be kept in {folder}: {error.strerror}.",
            "Free some space, or set XDG_CACHE_HOME to a folder that this user may write to.",
        ) from error
    return [folder / jar.file_name for jar in jars]


def kept_features() -> Path:
    """Where the file with the versions of features is kept that StorageTool writes with these jars."""
    return cache_dir() / "kafka-jars" / f"bootstrap-{_digest(_LOCK_FILE)}.checkpoint"


def kept_classes(java_release: Path) -> Path:
    """Where the classes of these jars are kept as this Java loads them fastest; it is known by its file `release`."""
    return cache_dir() / "kafka-jars" / f"classes-{_digest(_LOCK_FILE, java_release)}.aot"


def cache_dir() -> Path:
    """This project's folder in the user's cache, shared by all checkouts (XDG Base Directory; macOS's own)."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "auth-service"
    home = Path.home()
    return (home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache") / "auth-service"


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _pinned() -> list[_Jar]:
    jars = []
    for line in _LOCK_FILE.read_text(encoding="ascii").splitlines():
        coordinate, size, sha256 = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(_Jar(group=group, artifact=artifact, version=version, size=int(size), sha256=sha256))
    return jars


@contextmanager
def _download_lock(folder: Path, progress: Callable[[str], None]) -> Iterator[None]:
    import fcntl  # noqa: PLC0415 - not on Windows, where `require_platform` explains

    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Kafka: another process is downloading it, waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(jars: list[_Jar], folder: Path, progress: Callable[[str], None]) -> None:
    if not jars:
        return
    total = sum(jar.size for jar in jars) / 1e6
    progress(f"Kafka: downloading {len(jars)} jars, {total:.0f} MB, once for this machine")
    # Under the lock, so whatever is here was left by a process that died.
    arriving = folder / "arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    # Largest first: the last connection to finish is then not the slow one.
    queue = sorted(jars, key=lambda jar: jar.size, reverse=True)
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        pending = {pool.submit(_fetch, jar, arriving, folder): jar for jar in queue}
        try:
            arrived, reported = 0.0, 0.0
            for count, future in enumerate(as_completed(pending), start=1):
                future.result()
                arrived += pending[future].size / 1e6
                if arrived - reported >= total / 10 or count == len(jars):
                    reported = arrived
                    progress(
                        f"Kafka: {count} of {len(jars)} jars, {arrived:.0f} of {total:.0f} MB ({arrived / total:.0%})"
                    )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    shutil.rmtree(arriving, ignore_errors=True)


def _fetch(jar: _Jar, arriving: Path, folder: Path) -> None:
    """Download to a folder of its own, check, and move into place: a jar is there whole or not at all."""
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415 - a development package
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError:
        raise EmbeddedStackError(
            "The package jgo, which downloads Kafka, is not installed.",
            "Run `make install`, which installs the development packages.",
        ) from None
    logging.getLogger("jgo").setLevel(logging.ERROR)
    maven = MavenContext(repo_cache=arriving, local_repos=[], timeout=20)
    # A mirror that the user configured for jgo comes before the public repository.
    maven.remote_repos = GlobalSettings.load().repositories | maven.remote_repos
    artifact = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    failure = ""
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt)
        try:
            path = artifact.resolve()
        except Exception as error:  # noqa: BLE001 - jgo passes on what requests, urllib3 and sockets raise
            failure = f"{type(error).__name__}: {error}"
        else:
            if jar.is_whole(path):
                path.replace(folder / jar.file_name)
                return
            failure = "what arrived is not the file that kafka-jars.lock pins"
        if artifact.cached_path is not None:
            artifact.cached_path.unlink(missing_ok=True)
    raise EmbeddedStackError(
        f"{jar.file_name}, a part of Kafka, could not be downloaded: {failure}.",
        "Check the network (HTTPS_PROXY?) and start again; the jars that arrived are kept.",
    )
