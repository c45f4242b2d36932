"""Every connection string that docs/hosting.md shows means what the page says."""

import re
from pathlib import Path

import pytest
from sdktest.rows import each_row

from entrypoints.config.loading import load
from entrypoints.config.settings import MigrateSettings
from entrypoints.config.sources import ConfigurationError
from support.certificates import make_certificates

PAGE = Path(__file__).parents[3] / "docs" / "hosting.md"
SECTION = PAGE.read_text().partition("## PostgreSQL\n")[2].partition("\n## ")[0]
ROWS = [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in SECTION.splitlines()]
TAKEN = [tuple(row) for row in ROWS if len(row) == 3 and "=" in row[1] + "=" and "/" in row[2]]
REFUSED = [tuple(row) for row in ROWS if len(row) == 2 and "that is refused" not in row[0] and "---" not in row[0]]
CA = "/run/secrets/ca.pem"


@pytest.fixture
def ca(tmp_path):
    """A certificate authority's file, in the place of the one on the page."""
    make_certificates(tmp_path)
    return str(tmp_path / "ca.pem")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in ("PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGPORT", "PGSSLMODE", "PGSERVICE", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    services = tmp_path / "services"
    services.write_text("[auth]\nhost=db.internal\ndbname=auth\nuser=auth\npassword=secret\nsslmode=require\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("HOME", str(tmp_path))


def described(target):
    """Say it as the page does."""
    hosts = ",".join(f"{host}:{port}" for host, port in target.addresses)
    more = {
        "pooled": target.pooled,
        target.wanted: target.wanted != "any",
        "in any order": target.shuffled,
        f"{target.connect_timeout_s} s to connect": target.connect_timeout_s,
        f"options {target.options}": target.options,
        f"search_path {target.search_path}": target.search_path,
        f"ignores {', '.join(target.ignored)}": target.ignored,
    }
    said = "".join(f", {text}" for text, holds in more.items() if holds)
    return f"{target.user}@{hosts}/{target.database} TLS {target.tls.mode}{said}"


def test_the_tables_are_read_whole():
    assert len(TAKEN) > 40
    assert len(REFUSED) > 30
    assert len(TAKEN) + len(REFUSED) == len(re.findall(r"^\| (?!-|where|`DATABASE_URL` that)", SECTION, re.MULTILINE))


@each_row(("where", "url", "understood"), TAKEN, ids=[row[0] for row in TAKEN])
def test_what_a_host_writes_is_understood(ca, where, url, understood):
    settings = load(MigrateSettings, environment={"DATABASE_URL": url.replace(CA, ca)}, env_file=Path("none"))
    target = settings.database.database_url.get_secret_value()

    assert described(target) == understood, where
    assert "secret" not in repr(target)


@each_row(("url", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_used_is_refused_by_its_part_with_an_example(url, says):
    with pytest.raises(ConfigurationError) as refused:
        load(MigrateSettings, environment={"DATABASE_URL": url}, env_file=Path("none"))

    [problem] = refused.value.problems
    assert problem.variable == "DATABASE_URL"
    assert says in problem.what
    assert "secret" not in problem.what
    assert "postgresql://" in problem.example
