"""docs/hosting.md shows what becomes of Kafka's variables as hosts write them: each row is tried."""

import re
from datetime import UTC, datetime

import pytest

from anomalyze_auth.kafka import KafkaConfigurationError, KafkaConnection
from entrypoints.cli.exit_codes import EX_CONFIG
from entrypoints.cli.main import main
from entrypoints.config.loading import load
from entrypoints.config.settings import EventsSettings
from entrypoints.config.sources import ConfigurationError
from support.authority import Authority
from support.documentation import ROOT
from support.web import NO_FILE

SECTION = (ROOT / "docs/hosting.md").read_text(encoding="utf-8").partition("\n## Kafka\n")[2].partition("\n## ")[0]
ROWS = [line.strip("| ").split(" | ") for line in SECTION.splitlines() if line.startswith("| ") and "`KAFKA_" in line]


@pytest.fixture
def folder(tmp_path, monkeypatch, ca_pem):
    """Where the files of the table are."""
    (tmp_path / "ca.pem").write_text(ca_pem)
    authority = Authority(tmp_path, "issuer")
    authority.issue("user")
    authority.issue("secret", password="opensesame")
    authority.issue("old", until=datetime(2001, 1, 1, tzinfo=UTC))
    (tmp_path / "user.p12").write_bytes(b"0\x82\x0a\x00")
    (tmp_path / "truststore.jks").write_bytes(b"\xfe\xed\xfe\xed\x00\x00\x00\x02")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def ca_pem() -> str:
    import certifi  # noqa: PLC0415

    return certifi.contents()


def variables(cell: str) -> dict[str, str]:
    return dict(text.split("=", 1) for text in re.findall(r"`(KAFKA_[^`]+)`", cell))


@pytest.mark.parametrize(("host", "cell", "outcome"), [pytest.param(*row, id=row[0]) for row in ROWS])
def test_each_row_of_the_table_is_what_happens(folder, monkeypatch, capsys, host, cell, outcome):
    environment = variables(cell)
    if outcome.startswith("taken"):
        kafka = load(EventsSettings, environment=environment, env_file=NO_FILE).kafka

        assert kafka.addresses
        assert KafkaConnection.from_environment(environment) == kafka.connection  # as the SDK reads them
        for name in ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD", "KAFKA_OAUTH_CLIENT_SECRET"):
            if name in environment:
                value = getattr(kafka, name.lower())
                assert getattr(value, "get_secret_value", lambda: value)() == environment[name]  # noqa: B023
        return
    with pytest.raises(ConfigurationError) as caught:
        load(EventsSettings, environment=environment, env_file=NO_FILE)
    with pytest.raises(KafkaConfigurationError, match=re.escape(outcome)):
        KafkaConnection.from_environment(environment)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SystemExit) as stop:
        main(["topic", "check"])

    assert outcome in [f"{problem.variable}: {problem.what}" for problem in caught.value.problems]
    assert stop.value.code == EX_CONFIG
    said = capsys.readouterr().err
    assert outcome in said
    assert "hunter2" not in said


def test_the_table_has_every_kind_of_answer():
    outcomes = [row[-1] for row in ROWS]

    assert all(len(row) == 3 for row in ROWS)
    assert sum(outcome.startswith("taken") for outcome in outcomes) > 10
    assert {outcome.partition(":")[0] for outcome in outcomes if not outcome.startswith("taken")} > {
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_SASL_MECHANISM",
        "KAFKA_SASL_USERNAME",
        "KAFKA_SSL_CA_FILE",
    }
