"""What a command says when something that it needs is not there."""

import socket

import pytest
from sdktest.rows import each_row

from application.errors import BrokerUnavailableError, StoreUnavailableError
from application.failure import Cause
from entrypoints.cli.main import main
from entrypoints.cli.remedy import with_remedy
from support.processes import running
from support.web import environment


def test_migrate_without_a_database_says_so_and_what_to_check(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")

    with pytest.raises(SystemExit) as exited:
        main(["migrate"])

    said = capsys.readouterr()
    assert exited.value.code == 69
    assert said.out == ""
    assert "the migration failed" in said.err
    assert said.err.endswith("(DATABASE_URL)\n")
    assert "Traceback" not in said.err
    assert "secret" not in said.err


@each_row("cause", [*Cause])
def test_an_outage_is_one_line_with_its_cause_and_what_to_do(cause):
    store = with_remedy(StoreUnavailableError("53100", cause))
    broker = with_remedy(BrokerUnavailableError(cause=cause))

    assert store == f"PostgreSQL: {cause} (53100); {cause.advice} (DATABASE_URL)"
    assert broker == f"Kafka: {cause}; {cause.advice} (KAFKA_BOOTSTRAP_SERVERS)"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["clerk-stand-in", "--port"], "cannot listen on --host 127.0.0.1, --port {port}: Address already in use."),
        (["relay", "--metrics-port"], "Address already in use. Choose another port with --metrics-port."),
        (["serve", "--port"], "Set HOST and PORT (or --host, --port) to an address of this machine and a free port."),
        (["dev", "--port"], "Stop the program that uses it, or choose another port with --port or PORT."),
    ],
    ids=lambda value: value[0],
)
def test_a_port_that_is_taken_is_told_with_the_option_that_names_another(tmp_path, command, says):
    variables = {"DATABASE_URL": "postgresql://a@127.0.0.1:1/b", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    if command[0] == "serve":
        variables = environment(**variables)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, *command, str(port), **variables) as process:
            status = process.popen.wait(60)

    assert status == 1
    assert says.format(port=port) in process.text()
    assert "Traceback" not in process.text()
    assert "('" not in process.text()
