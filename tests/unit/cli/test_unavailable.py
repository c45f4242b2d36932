"""What a command says when something that it needs is not there."""

import pytest

from entrypoints.cli.main import main


def test_migrate_without_a_database_says_so_and_what_to_check(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")

    with pytest.raises(SystemExit) as exited:
        main(["migrate"])

    said = capsys.readouterr()
    assert exited.value.code == 69
    assert said.out == ""
    assert said.err.startswith("The migration failed: ")
    assert "Check DATABASE_URL" in said.err
    assert "Traceback" not in said.err
    assert "secret" not in said.err
