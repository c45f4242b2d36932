"""The primary crashes while commits wait for the standby, comes back without it, and shows them all the same."""

import asyncio

import httpx
import pytest

from integration.faults.failover.conftest import deployed
from integration.faults.failover.test_failover import nothing_lost
from integration.faults.test_chaos import users_of
from support.failover import migrated
from support.ledger import read_topic
from support.proxy import proxy

pytestmark = pytest.mark.faults


async def test_what_the_standby_lacks_is_neither_acknowledged_nor_published_until_it_has_it(
    two_servers, tmp_path, kafka_address, topic, drill_on
):
    await migrated(two_servers)
    primary = two_servers.leader
    with proxy("127.0.0.1", primary.port) as link:
        await two_servers.replicate(synchronous=True, through=link.port)
        with deployed(tmp_path, two_servers.url, kafka_address, topic) as (running, urls):
            drill = drill_on(two_servers, urls)
            await drill.senders.until_served()
            await drill.senders.until_taken()
            link.swallow()
            message = drill.senders.life.next()
            assert message
            async with httpx.AsyncClient(timeout=30) as client:
                before = await drill.senders.deliver(client, urls[0], message)
                await asyncio.to_thread(primary.kill)
                await asyncio.to_thread(primary.start)
                shown = await users_of(two_servers.dsn(primary), {message.user})
                again = [await drill.senders.deliver(client, url, message) for url in (*urls, *urls)]
            published = {record.key for record in await read_topic(kafka_address, topic)}
            link.swallow(on=False)
            link.cut()
            await drill.senders.until_delivered(message)
            await drill.fail_over(drill.kill, late_s=0)
            await nothing_lost(drill, running, kafka_address, topic)

    assert before == 503
    assert message.user in shown
    assert again == [503] * 4
    assert message.user not in published
