"""The composition root: one page a kind of process, which says what fills each port. Nothing else knows adapters.

A page imports everything it names, so a command imports its own page and no other.
"""

from typing import TypeVar

from attrs import AttrsInstance, fields_dict
from dependency_injector.containers import DeclarativeContainer

Page = TypeVar("Page", bound=DeclarativeContainer)


def container_of(page: type[Page], settings: AttrsInstance, **parts: object) -> Page:
    """Return the page's container with the groups of settings that its command loaded, and `parts` as they are.

    What needs a group that was not loaded raises `dependency_injector.errors.Error` when it is asked for.
    """
    groups = {name: getattr(settings, name) for name in fields_dict(type(settings)) if name in page.providers}
    return page(**groups, **parts)
