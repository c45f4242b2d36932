"""Numbers that no command takes, and options that would have no effect."""

import pytest
from sdktest.rows import each_row

from entrypoints.cli.main import app_for, main

TOO_MUCH = ["nan", "inf", "-inf", "1e400", "-1e400", "", "ten", "0x10", "-99999999999", str(2**63), "9" * 5000]


def numbers_of(app, *words):
    """Yield the words before the number, for each parameter that is one, of all commands."""
    for name in app:
        if not name.startswith("-"):
            yield from numbers_of(app[name], *words, name)
    if app.default_command:
        arguments = app.assemble_argument_collection()
        needed = ["http://localhost:1"] if any(each.name == "URL" for each in arguments) else []
        for argument in arguments:
            for kind in (int, float):
                if argument.hint in (kind, kind | None, tuple[kind, ...]):
                    named = [f"{argument.name}="] if argument.name.startswith("--") else ["--", ""]
                    yield kind, (*words, *needed, *named)


NUMBERS = sorted(numbers_of(app_for(["help"])), key=str)


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code, capsys.readouterr().err


def test_all_commands_are_looked_through():
    assert len(NUMBERS) >= 16
    known = {("outbox", "retry", "--", ""), ("token", "--lifetime="), ("serve", "--port=")}
    assert known <= {words for _, words in NUMBERS}


@each_row(("kind", "words"), NUMBERS)
def test_a_number_without_bounds_or_beyond_them_is_refused(capsys, kind, words):
    for text in [*TOO_MUCH, *["1.5"] * (kind is int)]:
        status, shown = refusal(capsys, *words[:-1], words[-1] + text)
        assert (status, "not a" in shown) == (2, True), (text, shown)


@each_row(
    "arguments",
    [
        ["users", "list", "--limit", "0"],
        ["outbox", "dead", "--limit", "1000001"],
        ["outbox", "discard", "0"],
        ["outbox", "status", "--every", "0.1"],
        ["topic", "create", "--partitions", "0"],
        ["topic", "create", "--partitions", str(2**31)],
        ["topic", "create", "--replication-factor", str(2**15)],
        ["topic", "check", "--partitions", "-1"],
        ["relay", "--metrics-port", "0"],
        ["relay", "--metrics-port", "65536"],
        ["serve", "--port", "0"],
        ["serve", "--workers", "257"],
        ["reconcile", "--patience", "-0.1"],
        ["clerk-stand-in", "--port", "65536"],
        ["conformance", "tokens", "http://localhost:1", "--jwks-port", "-1"],
        ["conformance", "consumer", "--wait", "0", "--", "true"],
        ["token", "--lifetime", "31536001"],
        ["trigger", "user.created", "--times", "0"],
    ],
)
def test_the_number_next_to_a_bound_is_refused(capsys, arguments):
    status, shown = refusal(capsys, *arguments)

    assert (status, "number from" in shown) == (2, True), shown


@each_row(
    ("arguments", "says"),
    [
        (["topic", "create", "--add-partitions"], "--add-partitions needs --partitions"),
        (["outbox", "status", "--every", "3"], "--every needs --watch"),
        (["reconcile", "--restart", "--user", "user_a"], "--restart is for a run over all users"),
        (["reconcile", "--restart", "--since", "1h"], "--restart is for a run over all users"),
        (["conformance", "tokens", "http://x", "--key", "k", "--data-dir", "d"], "--key and --data-dir exclude"),
    ],
)
def test_an_option_that_would_have_no_effect_is_named(capsys, monkeypatch, tmp_path, arguments, says):
    monkeypatch.chdir(tmp_path)
    status, shown = refusal(capsys, *arguments)

    assert (status, says in shown) == (2, True), shown
