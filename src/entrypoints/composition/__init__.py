"""The composition root: one page a kind of process, which imports adapters and fills ports; nothing else does."""

from typing import TypeVar

from attrs import AttrsInstance, fields_dict
from dependency_injector.containers import DeclarativeContainer

Page = TypeVar("Page", bound=DeclarativeContainer)


def container_of(page: type[Page], settings: AttrsInstance, **parts: object) -> Page:
    """Return the page's container with the loaded groups and `parts`; what needs another group raises when asked."""
    groups = {name: getattr(settings, name) for name in fields_dict(type(settings)) if name in page.providers}
    return page(**groups, **parts)
