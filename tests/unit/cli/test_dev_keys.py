from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from dotenv import dotenv_values

from entrypoints.cli.dev_keys import dev_keys
from entrypoints.configuration import ConfigurationError, load
from entrypoints.settings import ServeSettings

DATABASE = {"DATABASE_URL": "postgresql://a@b/c"}


@pytest.fixture(autouse=True)
def no_clerk(monkeypatch):
    for name in ("CLERK_PUBLISHABLE_KEY", "CLERK_JWT_KEY", "CLERK_ISSUER", "CLERK_JWKS_URL", "CLERK_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)


def written(folder):
    return dotenv_values(folder / ".env", interpolate=False)


def test_serve_starts_on_what_is_made_up(tmp_path):
    dev_keys(folder=tmp_path)
    settings = load(ServeSettings, environment=DATABASE, env_file=tmp_path / ".env")

    assert settings.tokens.clerk_jwt_key
    assert settings.clerk_api.clerk_secret_key is None
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_the_next_time_the_keys_are_the_same(tmp_path):
    dev_keys(folder=tmp_path)
    first = written(tmp_path)
    dev_keys(folder=tmp_path, clerk_api="http://clerk-stand-in.test:3004")
    second = written(tmp_path)

    assert first.items() <= second.items()
    assert second.keys() - first.keys() == {"CLERK_API_URL", "CLERK_SECRET_KEY"}


def test_the_stand_in_of_the_compose_file_is_one_that_serve_takes(tmp_path):
    """Plain http between containers is taken for the name that the file gives to the stand-in, and for no other."""
    services = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text())["services"]
    (option,) = [each for each in services["dev-keys-of-clerk-stand-in"]["command"] if each.startswith("--clerk-api=")]
    dev_keys(folder=tmp_path, clerk_api=option.partition("=")[2])
    settings = load(ServeSettings, environment=DATABASE, env_file=tmp_path / ".env")
    url = urlsplit(settings.clerk_api.clerk_api_url)

    assert url.hostname in services["clerk-stand-in"]["networks"]["default"]["aliases"]
    assert f"--port={url.port}" in services["clerk-stand-in"]["command"]
    dev_keys(folder=tmp_path, clerk_api="http://clerk-stand-in:3004")
    with pytest.raises(ConfigurationError, match="CLERK_API_URL"):
        load(ServeSettings, environment=DATABASE, env_file=tmp_path / ".env")


def test_two_installations_trust_different_keys(tmp_path):
    for name in ("one", "two"):
        dev_keys(folder=tmp_path / name)

    assert written(tmp_path / "one")["CLERK_JWT_KEY"] != written(tmp_path / "two")["CLERK_JWT_KEY"]


@pytest.mark.parametrize("name", ["CLERK_PUBLISHABLE_KEY", "CLERK_JWT_KEY", "CLERK_JWT_KEY_FILE", "CLERK_JWKS_URL"])
def test_beside_a_clerk_instance_nothing_is_made_up(tmp_path, monkeypatch, name):
    dev_keys(folder=tmp_path)
    monkeypatch.setenv(name, "of a real instance")
    dev_keys(folder=tmp_path)

    assert written(tmp_path) == {}


def test_a_webhook_secret_of_ones_own_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CLERK_WEBHOOK_SECRET", "whsec_mine")
    dev_keys(folder=tmp_path)

    assert written(tmp_path).keys() == {"CLERK_JWT_KEY", "CLERK_ISSUER"}
