"""The version has one home."""

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

from entrypoints.cli.main import main
from entrypoints.version import VERSION
from support.documentation import ROOT


def test_the_package_takes_it_from_there():
    assert ProjectMetadata(str(ROOT), PluginManager()).version == VERSION


def test_the_command_line_says_it(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert (ended.value.code, capsys.readouterr().out) == (0, f"{VERSION}\n")
