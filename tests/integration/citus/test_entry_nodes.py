"""Every server of a cluster takes writes, and each numbers the events that it stores by itself."""

from itertools import cycle, islice

import pytest
from hypothesis import given, settings

from integration.postgres.test_outbox_order import CONNECTIONS, every_version_is_delivered_in_order, stories
from support.citus import nodes

pytestmark = pytest.mark.citus


@settings(max_examples=15)
@given(story=stories())
async def test_each_users_versions_come_in_order_when_its_changes_enter_by_several_servers(database_url, story):
    servers = await nodes(database_url)

    assert len(servers) > 1
    await every_version_is_delivered_in_order([*islice(cycle(servers), CONNECTIONS)], story, distributed=True)
