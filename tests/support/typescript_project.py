"""The TypeScript package as it is published, in projects outside of this repository."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
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
        run(["node_modules/.bin/tsc", *_OPTIONS, *files], self.folder)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `npm pack` makes."""
    folder = tmp_path_factory.mktemp("pack")
    run(["npm", "pack", "--silent", "--pack-destination", str(folder)], SDK)
    (packed,) = folder.glob("*.tgz")
    return packed


def _installed(folder: Path, package: Path, *others: str) -> Project:
    versions = {
        name: json.loads((SDK / "node_modules" / name / "package.json").read_text())["version"] for name in others
    }
    run(["npm", "init", "-y"], folder)
    run(["npm", "pkg", "set", "type=module"], folder)
    wanted = [str(package), *(f"{name}@{version}" for name, version in versions.items())]
    quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    run(["npm", "install", *quiet, *wanted], folder)
    return Project(folder)


@pytest.fixture(scope="session")
def bare_project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """With nothing but a compiler and the types of Node."""
    return _installed(tmp_path_factory.mktemp("bare"), package, "typescript", "@types/node")


@pytest.fixture(scope="session")
def project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Made as the README says, with its frameworks and clients; its programs, and the example, are compiled."""
    others = ("typescript", "@types/node", "express", "@types/express", "fastify", "kafkajs", "@platformatic/kafka")
    made = _installed(tmp_path_factory.mktemp("project"), package, *others)
    for file in (ROOT / "examples/consumers/typescript").glob("*.ts"):
        shutil.copy(file, made.folder)
    programs = examples()
    separate = programs.pop("platformatic")
    for name, text in programs.items():
        (made.folder / f"{name}.ts").write_text(text)
    tsc = ["node_modules/.bin/tsc"]
    run([*tsc, "--init", "--types", "node"], made.folder)
    run([*tsc, "--project", ".", "--skipLibCheck", "false"], made.folder)
    # The types of @platformatic/kafka itself need types that it does not install; `tsc --init` has `skipLibCheck`.
    (made.folder / "platformatic.ts").write_text(separate)
    run([*tsc, "--project", "."], made.folder)
    return made
