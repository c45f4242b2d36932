import json

import pytest

from entrypoints.cli.main import main
from entrypoints.config.service_keys import key_of, service_key


def said(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["service-key", "new", *arguments])
    return stop.value.code, capsys.readouterr()


def test_a_new_key_is_shown_once_with_what_to_configure(capsys):
    status, shown = said(capsys, "billing", "--json")
    document = json.loads(shown.out)

    assert status == 0
    configured = service_key(document["configure"])
    assert key_of(document["key"], [configured]) is configured
    assert (document["name"], document["scopes"]) == ("billing", ["read"])
    assert shown.err == ""


def test_people_are_told_which_is_which(capsys):
    status, shown = said(capsys, "billing")
    key, configured = (line.strip() for line in shown.out.splitlines() if line.startswith("  "))

    assert status == 0
    assert key_of(key, [service_key(configured)])


@pytest.mark.parametrize("name", ["a b", "a,b", "a:b", "", "x" * 65])
def test_a_name_that_could_not_be_configured_is_refused(capsys, name):
    status, shown = said(capsys, name)

    assert status == 2
    assert shown.out == ""
    assert "NAME" in shown.err


@pytest.mark.parametrize(
    ("arguments", "scopes"),
    [
        ([], {"read"}),
        (["--scope", "ban"], {"ban"}),
        (["--scope", "read", "--scope", "set-metadata"], {"read", "set-metadata"}),
        (["--scope", "*"], {"*"}),
    ],
)
def test_a_new_key_may_read_unless_it_is_made_for_more(capsys, arguments, scopes):
    status, shown = said(capsys, "billing", "--json", *arguments)

    assert status == 0
    assert service_key(json.loads(shown.out)["configure"]).scopes == scopes


@pytest.mark.parametrize("scope", ["write", "", "READ", "read+ban", "admin"])
def test_a_scope_that_is_none_is_refused(capsys, scope):
    status, shown = said(capsys, "billing", "--scope", scope)

    assert (status, shown.out) == (2, "")
    assert "--scope" in shown.err
