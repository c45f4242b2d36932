"""CLERK_* and PORT as they are found on hosts: taken, or refused by name and with what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import fields
from sdktest.rows import each_row

from entrypoints.config.loading import load
from entrypoints.config.secret import Secret
from entrypoints.config.settings import ServeSettings
from entrypoints.config.sources import ConfigurationError
from support.hosting_clerk import ROWS, SK
from support.web import NO_FILE, PUBLISHABLE_KEY, SECRET

ENOUGH = {
    "DATABASE_URL": "postgresql://auth@db.example/auth",
    "CLERK_WEBHOOK_SECRET": SECRET,
    "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
}
PAGE = Path(__file__).parents[2] / "docs" / "hosting.md"
FILES = [row for row in ROWS if row.variable in ("CLERK_SECRET_KEY", "CLERK_WEBHOOK_SECRET", "CLERK_JWT_KEY")]


def value(settings, variable):
    for group in fields(type(settings)):
        found = getattr(getattr(settings, group.name), variable.lower(), None)
        if found is not None:
            found = found.get_secret_value() if isinstance(found, Secret) else found
            if isinstance(found, tuple):
                return tuple(getattr(entry, "written", entry) for entry in found)
            return getattr(found, "written", found)
    raise KeyError(variable)


def check(row, **environment):
    variables = {**ENOUGH, **environment}
    if not row.refusal:
        settings = load(ServeSettings, environment=variables, env_file=NO_FILE)
        assert value(settings, row.variable) == row.result
        return
    with pytest.raises(ConfigurationError) as caught:
        load(ServeSettings, environment=variables, env_file=NO_FILE)
    (problem,) = caught.value.problems
    assert row.refusal in problem.what
    assert problem.variable == row.variable
    assert problem.example
    assert len(row.text) < 8 or row.text not in str(caught.value).replace(problem.example, "")


@each_row("row", ROWS, ids=lambda row: f"{row.variable} {row.shown}")
def test_a_value_is_taken_or_refused_with_what_is_wrong(row):
    check(row, **{row.variable: row.text})


@pytest.mark.parametrize("row", FILES, ids=lambda row: f"{row.variable} {row.shown}")
def test_in_a_file_it_is_the_same(row, tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(row.text.encode())
    check(row, **{row.variable: "", f"{row.variable}_FILE": str(file)})


@each_row("row", ROWS, ids=lambda row: f"{row.variable} {row.shown}")
def test_the_page_shows_it(row):
    shown = f"`{row.shown}`" if "`" not in row.shown else row.shown
    result = "taken" if not row.refusal else row.refusal

    assert f"| `{row.variable}` | {shown} | {result} |" in PAGE.read_text()


def test_the_backend_apis_keys_are_taken_with_the_secret_key():
    url = "https://api.clerk.com/v1/jwks"
    tokens = load(
        ServeSettings,
        environment={**ENOUGH, "CLERK_JWKS_URL": url, "CLERK_SECRET_KEY": SK},
        env_file=NO_FILE,
    ).tokens

    assert tokens.jwks_url == url


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1"])
def test_a_file_that_is_not_utf_8_is_told(tmp_path, encoding):
    file = tmp_path / "secret"
    text = "\ufeffsk_test_abcdé" if encoding == "utf-16-be" else "sk_test_abcdé"
    file.write_bytes(text.encode(encoding))
    with pytest.raises(ConfigurationError, match="UTF-16, save it as UTF-8" if "16" in encoding else "not UTF-8"):
        load(ServeSettings, environment={**ENOUGH, "CLERK_SECRET_KEY_FILE": str(file)}, env_file=NO_FILE)
    (tmp_path / ".env").write_bytes(text.encode(encoding))
    with pytest.raises(ConfigurationError, match=r"\.env: cannot be read: it is "):
        load(ServeSettings, environment=ENOUGH, env_file=tmp_path / ".env")


def test_a_file_of_variables_with_a_byte_order_mark_and_crlf_is_read(tmp_path):
    file = tmp_path / ".env"
    file.write_bytes(f'\ufeffCLERK_SECRET_KEY="{SK}"\r\nexport PORT=4000\r\n'.encode())
    settings = load(ServeSettings, environment=ENOUGH, env_file=file)

    assert settings.clerk_api.clerk_secret_key.get_secret_value() == SK
    assert settings.http.port == 4000


def test_names_that_an_env_file_for_shells_left_behind_are_read():
    environment = {**ENOUGH, "export PORT": "4000", "\ufeffCLERK_SECRET_KEY": SK}
    settings = load(ServeSettings, environment=environment, env_file=NO_FILE)

    assert (settings.http.port, settings.clerk_api.clerk_secret_key.get_secret_value()) == (4000, SK)


def test_the_example_file_copied_as_it_is_asks_for_what_only_its_owner_knows(tmp_path):
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    (tmp_path / ".env").write_text(example)
    with pytest.raises(ConfigurationError) as caught:
        load(ServeSettings, environment={}, env_file=tmp_path / ".env")

    assert {(problem.variable, problem.what.partition(";")[0]) for problem in caught.value.problems} == {
        ("CLERK_WEBHOOK_SECRET", "missing"),
        ("CLERK_PUBLISHABLE_KEY", "missing"),
    }


def test_a_process_ends_with_78_and_names_the_variable_what_is_wrong_and_an_example(tmp_path):
    wrong = {"CLERK_SECRET_KEY": SECRET, "PORT": "tcp://10.0.0.1:3002", "CLERK_ISSUER": "https://c.example/jwks.json"}
    ended = subprocess.run(
        [sys.executable, "-m", "entrypoints.cli.main", "serve"],
        env={**ENOUGH, **wrong, "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 78
    assert "CLERK_SECRET_KEY: it is a webhook signing secret, which belongs in CLERK_WEBHOOK_SECRET" in ended.stderr
    assert "for example CLERK_SECRET_KEY=sk_test_" in ended.stderr
    assert "PORT: a URL, not a number" in ended.stderr
    assert "CLERK_ISSUER: the address of a document" in ended.stderr
    assert SECRET not in ended.stderr
    assert "10.0.0.1" not in ended.stderr
