"""A transaction that somebody forgot."""

import asyncio
import time

import pytest

from support.drill import until

pytestmark = pytest.mark.faults


async def test_a_stuck_old_transaction(start, stuck, kafka_address, topic):
    url, began = stuck
    await asyncio.sleep(max(0.0, began + 62 - time.monotonic()))
    service = start(url, kafka_address, topic)
    await until(lambda: "vacuum" in service.relay_health()[1])
    status, causes = service.health()
    code, found = service.doctor()

    assert status == 200
    assert "psql has held back vacuum for " in causes["vacuum"]
    assert service.relay_health()[0] == 200
    assert code == 0
    assert service.doctor()[1]["vacuum"]["grade"] == "warning"
    assert "psql has held back vacuum" in found["vacuum"]["says"]
    assert "pg_terminate_backend" in found["vacuum"]["advice"]
    [said] = service.relay.events("vacuum_held_back")
    assert "psql" in said["reason"]
    blocked = [line for line in service.metrics().splitlines() if line.startswith("outbox_vacuum_blocked_seconds ")]
    assert float(blocked[0].split()[1]) > 60
