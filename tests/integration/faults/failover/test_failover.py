"""The primary dies or freezes under a flow of webhooks, and its synchronous standby takes over, again and again.

`make failover` does it 20 times. A run is chosen by a seed, which is printed; FAILOVER_SEED=… plays it again.
"""

import asyncio
import os
import statistics

import httpx
import pytest

from integration.faults.test_chaos import differences, users_of
from support import processes
from support.drill import get, until
from support.failover import Drill, unexpected
from support.ledger import faults, read_topic_until
from support.replication import Pair
from support.servers import free_port

pytestmark = pytest.mark.faults

FAILOVERS = int(os.environ.get("FAILOVERS", "3"))
SETTLE_S = 60
PROMISED_S = 2.0
"""From the promotion until webhooks are taken again (docs/failover.md)."""


async def test_no_webhook_and_no_order_is_lost_with_killed_primaries_and_one_that_wakes_up_beside_its_successor(
    two_servers, tmp_path, kafka_address, topic, drilled
):
    """Nobody fences the one: its writes are not acknowledged because it waits for a synchronous standby."""
    drill, running, _ = drilled
    load = asyncio.create_task(drill.load())
    for _ in range(FAILOVERS):
        await asyncio.sleep(drill.dice.uniform(0.5, 2.5))
        late_s = drill.dice.choice((0.0, drill.dice.uniform(0.1, 1), drill.dice.uniform(1, 4)))
        await drill.fail_over(drill.kill, late_s=late_s)
        await two_servers.replicate(synchronous=True)
    killed_s = list(drill.back_s)
    await asyncio.sleep(1)
    former = two_servers.leader
    await drill.fail_over(drill.freeze, late_s=drill.dice.uniform(0, 6))
    await asyncio.sleep(2)
    two_servers.thaw(former)
    await asyncio.sleep(3)
    # One that starts now has met neither of them, and its list begins with the former primary.
    order = (two_servers.servers.index(former), two_servers.servers.index(two_servers.leader))
    port = free_port()
    with processes.serve(tmp_path, two_servers.url(order), port) as late:
        drill.probe.urls = [f"http://127.0.0.1:{port}"]
        await drill.probe.until_served()
        await drill.probe.until_taken()
    former.kill()
    await settled(drill, load)
    await nothing_lost(drill, [*running, late], kafka_address, topic)
    print(drill.report())
    # Beside other tests it is the machine's cores that are measured: `make failover` has them for itself.
    if "FAILOVERS" in os.environ:
        assert statistics.median(killed_s) < PROMISED_S, drill.report()


async def test_without_its_synchronous_standby_nothing_is_acknowledged_or_published_and_reads_go_on(
    two_servers, tmp_path, kafka_address, topic, drilled
):
    """A cancel request would end the wait, and make visible what only this server has."""
    drill, running, urls = drilled
    two_servers.standby.kill()
    message = drill.senders.life.next()
    assert message
    async with httpx.AsyncClient(timeout=20) as client:
        answers = [await drill.senders.deliver(client, url, message) for url in [*urls, *urls, *urls]]
    health = [get(f"{url}/health") for url in urls]
    sessions = await waiting_sessions(two_servers)
    variables = {"DATABASE_URL": two_servers.url(), "KAFKA_BOOTSTRAP_SERVERS": kafka_address}
    _, examined = await asyncio.to_thread(run, tmp_path, ["doctor"], variables)
    await asyncio.to_thread(two_servers.standby.start)
    await drill.senders.until_delivered(message)
    got = await read_topic_until(kafka_address, topic, {message.user: 1}, within=SETTLE_S)

    assert answers == [503] * 6
    assert [status for status, _ in health] == [200, 200]  # reads are served
    assert sessions <= 4 + 1  # one of each process, and ours
    assert [(record.key, record.version) for record in got] == [(message.user, 1)]
    assert unexpected(*running) == []
    assert "for a synchronous standby" in examined
    told = {line.get("cause") for process in running for line in process.events()}
    assert "PostgreSQL: waits for a synchronous standby" in told


async def test_no_primary_among_the_hosts_is_told_in_these_words_until_there_is_one(
    two_servers, tmp_path, kafka_address, drilled
):
    drill, running, urls = drilled
    gone, left = two_servers.leader, two_servers.standby
    gone.kill()
    why = f"127.0.0.1:{gone.port}: connection refused, 127.0.0.1:{left.port}: takes no writes"
    said = f"PostgreSQL: no primary among the hosts ({why})"
    variables = {"DATABASE_URL": two_servers.url(), "KAFKA_BOOTSTRAP_SERVERS": kafka_address}
    told = {
        command: run(tmp_path, command.split(), variables)
        for command in ("migrate", "outbox status", "users list", "doctor")
    }
    # The first look may meet a connection that broke; where the hosts are is not for whoever may ask.
    await until(lambda: "PostgreSQL: no primary among the hosts" in get(f"{urls[0]}/health")[1])
    health = get(f"{urls[0]}/health")
    message = drill.probe.life.next()
    assert message
    async with httpx.AsyncClient(timeout=20) as client:
        refused = await drill.probe.deliver(client, urls[0], message)
    await two_servers.promote()
    await drill.probe.until_delivered(message)

    assert refused == 503
    assert health[0] == 503
    assert str(left.port) not in health[1]  # outsiders may ask
    assert said in [line.get("cause") for process in running for line in process.events()]
    for command, (status, output) in told.items():
        assert output.count("PostgreSQL: no primary among the hosts (") >= 1, command
        assert why in output, command
        assert status == (1 if command == "doctor" else 69), command
    assert unexpected(*running) == []


def run(folder, arguments: list[str], variables: dict[str, str]) -> tuple[int, str]:
    with processes.running(folder, *arguments, **variables) as process:
        status = process.popen.wait(60)
        return status, process.text()


async def waiting_sessions(both: Pair) -> int:
    import asyncpg  # noqa: PLC0415

    connection = await asyncpg.connect(both.dsn(both.leader))
    try:
        return await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    finally:
        await connection.close()


async def settled(drill: Drill, load: "asyncio.Task[None]") -> None:
    """Let nothing new happen, and wait until all that was being delivered is acknowledged."""
    drill.senders.stop()
    async with asyncio.timeout(SETTLE_S):
        await load


async def nothing_lost(drill: Drill, running: list[processes.Process], kafka: str, topic: str) -> None:
    """Compare what was acknowledged with the primary that is left, and that with the topic."""
    acknowledged = [*drill.senders.acknowledged, *drill.probe.acknowledged]
    stored = await users_of(drill.pair.dsn(drill.pair.leader), {webhook.user for webhook in acknowledged})
    newest = {user_id: user.version for user_id, user in stored.items()}
    got = await read_topic_until(kafka, topic, newest, within=SETTLE_S)
    told = drill.report()

    assert faults(got, newest) == [], told
    assert differences(stored, got, acknowledged) == [], told
    assert drill.senders.refused == [], told
    assert unexpected(*running) == [], told
    assert [process.text() for process in running if not process.alive and process is not running[-1]] == [], told
