import os
import shutil
import threading

import pytest

from devkit.local.environment import write_environment
from devkit.local.keys import keys_kept_in
from devkit.servers.data_dir import locked
from support.triggering import Service


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to run a command in, with nothing configured."""
    for variable in [
        name for name in os.environ if name.startswith(("CLERK_", "KAFKA_", "DATABASE_URL", "HOST", "PORT"))
    ]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """A folder with keys, which take a while to be made up."""
    folder = tmp_path_factory.mktemp("keys")
    keys_kept_in(folder)
    return folder


@pytest.fixture
def keys(folder, made_up):
    """The keys of a `dev` that runs in the folder."""
    data_dir = folder / "var" / "dev"
    shutil.copytree(made_up, data_dir)
    kept = keys_kept_in(data_dir)
    values = {**kept.environment, "CLERK_ISSUER": "http://localhost/dev", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    write_environment(data_dir, values)
    with locked(data_dir, "auth-service dev"):
        yield kept


@pytest.fixture
def service():
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
