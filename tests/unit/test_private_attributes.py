"""Private attributes of other libraries: each is named here, used in one module, and its library has an upper bound."""

import re
import tomllib
from pathlib import Path

import asyncpg
import pytest
from granian.server import MPServer
from sqlalchemy.pool import Pool

ROOT = Path(__file__).parents[2]

PRIVATE = [
    (MPServer, "_spawn_asgi_lifespan_worker", "entrypoints/cli/granian_server.py", "granian"),
    (MPServer, "_spawn_workers", "entrypoints/cli/granian_server.py", "granian"),
    (MPServer, "_respawn_workers", "entrypoints/cli/granian_server.py", "granian"),
    (MPServer, "_stop_workers", "entrypoints/cli/granian_server.py", "granian"),
    (Pool, "_invalidate", "adapters/postgres/asyncpg_execution.py", "sqlalchemy"),
    (asyncpg.Connection, "_transport", "adapters/postgres/connection/route.py", "asyncpg"),
]

FOREIGN = re.compile(r"(?<!self)(?<!cls)\.(_[a-z]\w*)|super\(\)\.(_[a-z]\w*)")
OWN = {"_exit"}
"""`os._exit` is documented."""


@pytest.mark.parametrize(("owner", "name", "module", "package"), PRIVATE)
def test_a_private_attribute_is_still_there_and_a_next_release_is_not_installed_by_itself(owner, name, module, package):
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [bound] = [each for each in dependencies if re.match(rf"{package}\b", each)]

    # asyncpg keeps its attributes in slots.
    assert hasattr(owner, name) or any(name in getattr(base, "__slots__", ()) for base in owner.__mro__)
    assert re.search(r",<[0-9.]+$", bound)
    assert name in (ROOT / "src" / module).read_text()


def test_no_other_module_uses_a_private_attribute():
    found = {
        (name, str(file.relative_to(ROOT / "src")))
        for file in (ROOT / "src").rglob("*.py")
        if "adapters/kafka/" not in str(file)
        for line in file.read_text().splitlines()
        for names in FOREIGN.findall(line.partition("#")[0])
        for name in names
        if name and name not in OWN
    }

    assert found <= {(name, module) for _, name, module, _ in PRIVATE}
