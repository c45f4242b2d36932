"""What the embedded servers cannot start on is said before they try."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest

from devkit.servers.data_dir import locked, require_space, using
from devkit.servers.errors import EmbeddedStackError
from devkit.servers.server import require_platform


def test_a_disk_that_is_too_full_is_told_with_what_is_needed_and_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=99_000_000))

    require_space(tmp_path, "Kafka", 99)
    with pytest.raises(
        EmbeddedStackError, match=r"Kafka needs 100 MB for new data, and the disk of .* has 99 MB left"
    ) as told:
        require_space(tmp_path, "Kafka", 100)
    assert "another disk" in str(told.value)


def test_a_platform_that_the_guard_cannot_work_on_is_told_with_the_way_out(monkeypatch):
    require_platform()

    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(EmbeddedStackError, match="run on Linux and macOS") as told:
        require_platform()
    monkeypatch.undo()
    assert "docker-compose.yml" in str(told.value)


@pytest.mark.parametrize("error", [ConnectionRefusedError("a port"), BrokenPipeError(), FileNotFoundError(2, "x", "y")])
def test_what_goes_wrong_while_a_folder_is_locked_is_not_told_as_the_folders(tmp_path, error):
    with pytest.raises(type(error)), locked(tmp_path, "auth-service dev"):
        raise error

    with locked(tmp_path, "auth-service dev"):  # it is free again
        pass


def test_a_folder_that_cannot_be_made_is_told_with_its_reason(tmp_path):
    file = tmp_path / "file"
    file.touch()

    with (
        pytest.raises(EmbeddedStackError, match=r"Kafka cannot use the folder .*: (Not a directory|File exists) .*"),
        locked(file / "data", "Kafka"),
    ):
        pass


def test_a_folder_that_cannot_be_prepared_is_told_with_its_reason(tmp_path):
    with (
        pytest.raises(EmbeddedStackError, match=r"Kafka cannot use the folder .*: No space left"),
        using(tmp_path, "Kafka"),
    ):
        raise OSError(errno.ENOSPC, "No space left")
