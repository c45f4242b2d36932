from collections.abc import Iterator

import pytest

from support.browser import Tab, browser_tab
from support.typescript_project import bare_project, package, project

__all__ = ["bare_project", "package", "project"]  # fixtures


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A page of a real browser, which has nothing to complain of at the end."""
    with browser_tab(tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened
        assert opened.complaints() == []
