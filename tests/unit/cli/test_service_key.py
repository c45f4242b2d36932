import json

import pytest

from entrypoints.cli.main import main
from entrypoints.service_keys import holder_of, service_key


def said(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["service-key", "new", *arguments])
    return stop.value.code, capsys.readouterr()


def test_a_new_key_is_shown_once_with_what_to_configure(capsys):
    status, shown = said(capsys, "billing", "--json")
    document = json.loads(shown.out)

    assert status == 0
    assert holder_of(document["key"], [service_key(document["configure"])]) == "billing"
    assert shown.err == ""


def test_people_are_told_which_is_which(capsys):
    status, shown = said(capsys, "billing")
    key, configured = (line.strip() for line in shown.out.splitlines() if line.startswith("  "))

    assert status == 0
    assert holder_of(key, [service_key(configured)]) == "billing"


@pytest.mark.parametrize("name", ["a b", "a,b", "a:b", "", "x" * 65])
def test_a_name_that_could_not_be_configured_is_refused(capsys, name):
    status, shown = said(capsys, name)

    assert status == 2
    assert shown.out == ""
    assert "NAME" in shown.err
