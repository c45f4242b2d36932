"""What consumers have seen of each user: the event topic, read from a time to its present end."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from faststream.security import BaseSecurity

from adapters.kafka.topic_search import KafkaTopicSearch
from anomalyze_auth.events import UnusableEvent, attributes_of, version_in
from application.reconcile.ports import Seen
from domain.user import InvalidUserIdError, UserId, parse_user_id


class _Event(msgspec.Struct):
    user: dict[str, Any]


_OF_USERS = "anomalyze.user."
_decoder = msgspec.json.Decoder(_Event)


async def read_seen(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None, since_ms: int
) -> dict[UserId, Seen]:
    """See `ReadSeen`; other events are skipped."""
    seen: dict[UserId, Seen] = {}
    await KafkaTopicSearch(bootstrap_servers, security).since(topic, since_ms, partial(_add, seen))
    return seen


def _add(seen: dict[UserId, Seen], record: Any) -> None:
    try:
        attributes = attributes_of(record.headers)
        if not attributes["ce_type"].startswith(_OF_USERS):
            return
        version = version_in(attributes)
        user_id = parse_user_id((record.key or b"").decode())
        user = _decoder.decode(record.value or b"").user
    except (UnusableEvent, InvalidUserIdError, ValueError, RecursionError):
        return
    if user_id not in seen or version > seen[user_id].version:
        seen[user_id] = Seen(version, user)
