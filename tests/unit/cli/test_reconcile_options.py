"""What `auth-service reconcile` is told, before anybody is asked."""

import pytest
from sdktest.rows import each_row

from application.reconcile.drift import DeletionLimit
from entrypoints.cli.main import main
from entrypoints.cli.options import moment
from entrypoints.cli.reconcile.command import allowance

NOW = 1_800_000_000_000


@each_row(
    ("text", "expected"),
    [
        ("90s", NOW - 90_000),
        ("90m", NOW - 5_400_000),
        ("24h", NOW - 86_400_000),
        ("7d", NOW - 604_800_000),
        ("99999999d", 0),
        ("2026-11-23", 1_795_392_000_000),
        ("2026-11-23T10:00:00Z", 1_795_428_000_000),
        ("2026-11-23T10:00:00", 1_795_428_000_000),
        ("2026-11-23T10:00:00.250+01:00", 1_795_424_400_250),
        ("1955-11-05", 0),
    ],
)
def test_since_is_a_duration_a_date_or_a_time(text, expected):
    assert moment(text, NOW) == expected


@each_row("text", ["", "yesterday", "24", "h", "-1h", "1.5h", "2026-13-01", "9" * 30 + "d", "٣h"])
def test_anything_else_is_no_since(text):
    with pytest.raises(ValueError, match="not a duration"):
        moment(text, NOW)


def test_deletes_are_allowed_by_number_or_by_share():
    assert allowance("500").of(1_000_000) == 500
    assert allowance("0").of(1_000_000) == 0
    assert allowance("20%").of(200) == 40
    assert allowance("100%").of(3) == 3
    assert DeletionLimit().of(1000) == 50
    assert DeletionLimit().of(3) == 10


@each_row("text", ["", "-1", "101%", "1.5%", "all", "%", "9" * 20])
def test_anything_else_allows_nothing(text):
    with pytest.raises(ValueError, match="neither a number nor a share"):
        allowance(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "yesterday"], "--since: not a duration"),
        (["--user", "../sessions/x"], "--user: not a Clerk user id"),
        (["--allow-deletes", "all"], "--allow-deletes: neither"),
        (["--user", "user_a", "--since", "1h"], "exclude each other"),
    ],
)
def test_a_wrong_option_is_named(arguments, says, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["reconcile", *arguments])

    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_without_a_key_for_clerk_nothing_is_begun(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.delenv("CLERK_SECRET_KEY", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["reconcile"])

    assert ended.value.code == 78
    assert "CLERK_SECRET_KEY" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_told_before_anything(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("CLERK_SECRET_KEY", "sk_test_0123456789")
    with pytest.raises(SystemExit) as ended:
        main(["reconcile", "--yes", "--report", str(tmp_path / "no" / "such" / "folder")])

    assert ended.value.code == 2
    assert "--report" in capsys.readouterr().err
