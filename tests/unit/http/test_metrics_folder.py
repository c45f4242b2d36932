import os
import tempfile
from pathlib import Path

import pytest

from entrypoints.config.sources import ConfigurationError
from entrypoints.observability.metrics_folder import VARIABLE, metrics_folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Temporary files cannot be made: the folder for them is a file."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))


def test_where_the_disk_is_read_only_the_numbers_are_kept_in_memory_and_go_with_the_service(nowhere, tmp_path):
    with metrics_folder(str(tmp_path)):
        folder = Path(os.environ[VARIABLE])
        assert folder.parent == tmp_path
        assert folder.is_dir()

    assert not folder.exists()
    assert VARIABLE not in os.environ


def test_where_no_folder_can_be_made_it_says_so_and_what_to_do(nowhere, tmp_path):
    with (
        pytest.raises(ConfigurationError, match=r"WEB_CONCURRENCY: .* set TMPDIR to a folder that can be written"),
        metrics_folder(str(tmp_path / "missing")),
    ):
        pytest.fail("it was made")


def test_with_a_disk_that_can_be_written_memory_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))

    with metrics_folder(str(tmp_path)):
        assert Path(os.environ[VARIABLE]).parent == tmp_path / "disk"
