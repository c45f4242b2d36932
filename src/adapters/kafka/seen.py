"""What consumers have seen of each user: the event topic, read from a time to its present end."""

from collections.abc import Sequence
from typing import Any

import msgspec
from faststream.security import BaseSecurity

from adapters.kafka.consumer import tail_topic
from application.reconcile.overtake import Seen
from domain.user import InvalidUserIdError, UserId, parse_user_id

_WAIT_MS = 500


class _Event(msgspec.Struct):
    user: dict[str, Any]


_decoder = msgspec.json.Decoder(_Event)


async def read_seen(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None, since_ms: int
) -> dict[UserId, Seen]:
    """See `ReadSeen`; what is no event of ours is passed over."""
    seen: dict[UserId, Seen] = {}
    async with tail_topic(bootstrap_servers, topic, security, from_beginning=True) as tail:
        consumer, partitions = tail.consumer, tail.subscriber.partitions
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        for partition in partitions:
            start = starts[partition]
            consumer.seek(partition, start.offset if start else ends[partition])
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(*partitions, timeout_ms=_WAIT_MS)).values():
                for record in records:
                    _add(seen, record)
    return seen


def _add(seen: dict[UserId, Seen], record: Any) -> None:
    try:
        user_id = parse_user_id((record.key or b"").decode())
        version = int(dict(record.headers)["ce_sequence"])
        user = _decoder.decode(record.value or b"").user
    except (InvalidUserIdError, KeyError, TypeError, ValueError):
        return
    if user_id not in seen or version > seen[user_id].version:
        seen[user_id] = Seen(version, user)
