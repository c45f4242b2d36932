"""The TypeScript package as it is published, in projects outside of this repository."""

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sdk-typescript"
NODES = {name: str(SDK / "node_modules" / name / "bin/node") for name in ("node20", "node22")}
_EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n+```ts\n(.*?)```", re.DOTALL)
_OPTIONS = [
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"),
    *("--target", "es2022", "--module", "nodenext"),
]

_QUICKLY = ["--skipLibCheck", "--types", "node"]


def run(command: Sequence[str], folder: Path, timeout: float = 300, **variables: str) -> str:
    """Return what the program prints; a failure shows it."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(Path.home()), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def examples() -> dict[str, str]:
    """The programs of the package's README."""
    return dict(_EXAMPLE.findall((SDK / "README.md").read_text()))


@frozen
class Project:
    """A project outside of this repository that has installed the package as it is published."""

    folder: Path

    def compile(self, *files: str) -> None:
        """Compile these alone, with the types of everything that is installed."""
        run(["node_modules/.bin/tsc", *_OPTIONS, *files], self.folder)

    def compile_quickly(self, *files: str) -> None:
        """Compile these alone, with the types of what they import and of Node; the types themselves are not checked."""
        run(["node_modules/.bin/tsc", *_OPTIONS, *_QUICKLY, *files], self.folder)


def _once(tmp_path_factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], object]) -> Path:
    """Return a folder that the first process of a run fills: `npm pack` builds in a place that all of them share."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder, filled = place / name, place / f"{name}.filled"
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not filled.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            fill(folder)
            filled.touch()
    return folder


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `npm pack` makes."""
    pack = ["npm", "pack", "--silent", "--pack-destination"]
    folder = _once(tmp_path_factory, "pack", lambda folder: run([*pack, str(folder)], SDK))
    (packed,) = folder.glob("*.tgz")
    return packed


def _install(folder: Path, package: Path, *others: str) -> None:
    versions = {
        name: json.loads((SDK / "node_modules" / name / "package.json").read_text())["version"] for name in others
    }
    run(["npm", "init", "-y"], folder)
    run(["npm", "pkg", "set", "type=module"], folder)
    wanted = [str(package), *(f"{name}@{version}" for name, version in versions.items())]
    quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    run(["npm", "install", *quiet, *wanted], folder)


@pytest.fixture(scope="session")
def bare_project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """With nothing but a compiler and the types of Node."""
    compiler = ("typescript", "@types/node")
    return Project(_once(tmp_path_factory, "bare", lambda folder: _install(folder, package, *compiler)))


@pytest.fixture(scope="session")
def project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Made as the README says, with its frameworks and clients; its programs, and the example, are compiled."""
    return Project(_once(tmp_path_factory, "project", lambda folder: _make(folder, package)))


def _make(folder: Path, package: Path) -> None:
    others = ("typescript", "@types/node", "express", "@types/express", "fastify", "kafkajs", "@platformatic/kafka")
    _install(folder, package, *others)
    for file in (ROOT / "examples/consumers/typescript").glob("*.ts"):
        shutil.copy(file, folder)
    programs = examples()
    separate = programs.pop("platformatic")
    for name, text in programs.items():
        (folder / f"{name}.ts").write_text(text)
    tsc = ["node_modules/.bin/tsc"]
    run([*tsc, "--init", "--types", "node"], folder)
    run([*tsc, "--project", ".", "--skipLibCheck", "false"], folder)
    # The types of @platformatic/kafka itself need types that it does not install; `tsc --init` has `skipLibCheck`.
    (folder / "platformatic.ts").write_text(separate)
    (folder / "tsconfig.platformatic.json").write_text('{"extends": "./tsconfig.json", "files": ["platformatic.ts"]}')
    run([*tsc, "--project", "tsconfig.platformatic.json"], folder)
