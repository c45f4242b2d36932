import os

import pytest

from devkit.local.environment import write_environment
from devkit.local.keys import keys_kept_in
from devkit.servers.data_dir import locked


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to run a command in, with nothing configured."""
    for variable in [
        name for name in os.environ if name.startswith(("CLERK_", "KAFKA_", "DATABASE_URL", "HOST", "PORT"))
    ]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def keys(folder):
    """The keys of a `dev` that runs in the folder."""
    data_dir = folder / "var" / "dev"
    data_dir.mkdir(parents=True)
    kept = keys_kept_in(data_dir)
    values = {**kept.environment, "CLERK_ISSUER": "http://localhost/dev", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    write_environment(data_dir, values)
    with locked(data_dir, "auth-service dev"):
        yield kept
