"""Private attributes of other libraries: each is named here, used in one module, and its library has an upper bound."""

import importlib
import inspect
import re
import sys
import tomllib
from pathlib import Path

import asyncpg
import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"

PRIVATE = [
    (asyncpg.Connection, "_cancel_current_command", "adapters/postgres/connection/driver.py", "asyncpg"),
]
NAMED = {(name, module) for _, name, module, _ in PRIVATE}

FOREIGN = re.compile(r"(?<!self)(?<!cls)\.(_[a-z]\w*)|super\(\)\.(_[a-z]\w*)")
OWN = {"_exit", "_value_"}
"""`os._exit` and `Enum._value_` are documented."""
MADE_BY_PYTHON = {"_abc_impl", "_is_protocol"}
OF_ALEMBIC = "adapters/postgres/migrations"
"""It runs these by itself; to import them is to migrate."""


@pytest.mark.parametrize(("owner", "name", "module", "package"), PRIVATE)
def test_a_private_attribute_is_still_there_and_a_next_release_is_not_installed_by_itself(owner, name, module, package):
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [bound] = [each for each in dependencies if re.match(rf"{package}\b", each)]

    assert hasattr(owner, name)
    assert re.search(r",<[0-9.]+$", bound)
    assert name in (SRC / module).read_text()


def test_no_other_module_uses_a_private_attribute():
    found = {
        (name, str(file.relative_to(SRC)))
        for file in SRC.rglob("*.py")
        for line in file.read_text().splitlines()
        for names in FOREIGN.findall(line.partition("#")[0])
        for name in names
        if name and name not in OWN
    }

    assert found <= NAMED


def test_no_other_module_overrides_a_private_attribute():
    files = [file.relative_to(SRC) for file in SRC.rglob("*.py") if OF_ALEMBIC not in str(file)]
    modules = [importlib.import_module(".".join(file.with_suffix("").parts)) for file in files]
    found = {
        (name, str(file))
        for file, module in zip(files, modules, strict=True)
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__ == module.__name__
        for name in vars(each)
        if re.match(r"_[a-z]", name) and name not in MADE_BY_PYTHON
        for base in each.__mro__[1:]
        if name in vars(base) and is_foreign(base)
    }

    assert found
    assert found <= NAMED


def is_foreign(base: type) -> bool:
    package = base.__module__.partition(".")[0]
    return package not in sys.stdlib_module_names and not (SRC / package).is_dir()
