import pytest

from support.reconciling import World, twenty_users


@pytest.fixture
async def world() -> World:
    """Twenty users, the same here and at Clerk, for a reconcile that reads them in small pages."""
    return await twenty_users()
