import pytest

from application.reconcile.options import PageSizes
from support.reconciling import World, twenty_users


@pytest.fixture
async def world() -> World:
    """Twenty users, the same here and at Clerk, for a reconcile that reads them in small pages."""
    world = await twenty_users()
    world.sizes = PageSizes(clerk=5, overlap=2, ours=3)
    return world
