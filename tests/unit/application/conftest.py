import pytest

from application.reconcile import listing as clerk_listing
from application.reconcile import run as reconcile
from support.reconciling import World, twenty_users


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Twenty users, the same here and at Clerk, for a reconcile that reads them in small pages."""
    monkeypatch.setattr(clerk_listing, "OVERLAP", 2)
    monkeypatch.setattr(reconcile, "PAGE", 5)
    monkeypatch.setattr(reconcile, "LIVING", 3)
    return await twenty_users()
