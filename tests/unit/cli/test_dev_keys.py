from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from dotenv import dotenv_values

from devkit.commands.dev_keys import dev_keys
from entrypoints.config.loading import load
from entrypoints.config.made_up import INSTANCE
from entrypoints.config.settings import ServeSettings
from entrypoints.config.sources import ConfigurationError

DATABASE = {"DATABASE_URL": "postgresql://a@b/c"}
STAND_IN = "http://clerk-stand-in.test:3004"
ANY = sorted(INSTANCE | {f"{name}_FILE" for name in ("CLERK_SECRET_KEY", "CLERK_JWT_KEY", "CLERK_WEBHOOK_SECRET")})


@pytest.fixture(autouse=True)
def no_clerk(monkeypatch):
    for name in ANY:
        monkeypatch.delenv(name, raising=False)


def written(folder):
    return dotenv_values(folder / ".env", interpolate=False)


def test_serve_starts_on_what_is_made_up(tmp_path):
    dev_keys(folder=tmp_path)
    settings = load(ServeSettings, environment=DATABASE, env_file=tmp_path / ".env")

    assert settings.tokens.clerk_jwt_key
    assert settings.clerk_api.clerk_secret_key is None
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_the_next_time_the_keys_are_the_same_and_a_stand_in_is_the_issuer(tmp_path):
    dev_keys(folder=tmp_path)
    first = written(tmp_path)
    dev_keys(folder=tmp_path, clerk_api=STAND_IN)
    second = written(tmp_path)

    assert {name for name in first if first[name] != second[name]} == {"CLERK_ISSUER"}
    assert second.keys() - first.keys() == {"CLERK_API_URL", "CLERK_SECRET_KEY"}
    assert (second["CLERK_ISSUER"], second["CLERK_API_URL"]) == (STAND_IN, STAND_IN)


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


@pytest.mark.parametrize("name", ANY)
def test_beside_a_clerk_instance_nothing_is_made_up(tmp_path, monkeypatch, capsys, name):
    dev_keys(folder=tmp_path, clerk_api=STAND_IN)
    monkeypatch.setenv(name, "of a real instance")
    dev_keys(folder=tmp_path, clerk_api=STAND_IN)

    assert written(tmp_path) == {}
    assert f"{name}: a Clerk instance is configured" in capsys.readouterr().out


@pytest.mark.parametrize("name", ANY)
def test_a_file_of_ones_own_that_names_an_instance_counts_and_stays_as_it_is(tmp_path, name):
    own = f"{name}=of_an_instance\n"
    (tmp_path / ".env").write_text(own)
    dev_keys(folder=tmp_path)

    assert (tmp_path / ".env").read_text() == own


def test_a_file_of_ones_own_is_never_written_over(tmp_path, capsys):
    (tmp_path / ".env").write_text("PORT=4000\n")
    with pytest.raises(SystemExit) as stop:
        dev_keys(folder=tmp_path)

    assert stop.value.code == 1
    assert (tmp_path / ".env").read_text() == "PORT=4000\n"
    assert "was not written by dev-keys: it is not changed" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["live", "test"])
@pytest.mark.parametrize("name", ["CLERK_SECRET_KEY", "CLERK_PUBLISHABLE_KEY"])
def test_a_copy_of_what_was_made_up_is_refused_beside_the_keys_of_an_instance(tmp_path, name, kind):
    dev_keys(folder=tmp_path)
    values = {"CLERK_SECRET_KEY": f"sk_{kind}_x", "CLERK_PUBLISHABLE_KEY": f"pk_{kind}_Y2xlcmsuYWNtZS5pbyQ"}
    environment = {**written(tmp_path), **DATABASE, name: values[name]}
    with pytest.raises(ConfigurationError) as refused:
        load(ServeSettings, environment=environment, env_file=tmp_path / "none")

    assert [problem.variable for problem in refused.value.problems] == ["CLERK_ISSUER"]
    assert f"made up for development (http://), beside the {name} of a Clerk instance" in str(refused.value)


def test_a_live_key_is_refused_beside_made_up_ones_even_where_a_stand_in_is_asked(tmp_path):
    dev_keys(folder=tmp_path, clerk_api="http://127.0.0.1:3004")
    environment = {**written(tmp_path), **DATABASE}
    load(ServeSettings, environment=environment, env_file=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="CLERK_ISSUER: made up"):
        load(ServeSettings, environment={**environment, "CLERK_SECRET_KEY": "sk_live_x"}, env_file=tmp_path / "none")


def test_keys_of_a_live_and_a_test_instance_do_not_go_together(tmp_path):
    keys = {"CLERK_SECRET_KEY": "sk_live_x", "CLERK_PUBLISHABLE_KEY": "pk_test_Y2xlcmsuYWNtZS5pbyQ"}
    secret = {"CLERK_WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 4}
    with pytest.raises(ConfigurationError, match="of a test instance, and CLERK_SECRET_KEY of a live one"):
        load(ServeSettings, environment={**DATABASE, **secret, **keys}, env_file=tmp_path / "none")
