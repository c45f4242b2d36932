"""Read a payload, or hear why not."""

import pytest

from adapters.clerk.payloads import snapshot_of
from application.errors import UnusableWebhookError
from domain.snapshot import Snapshot
from support.clerk_payloads import NOW_MS, encoded, user_payload

MINIMAL = {"id": "user_1", "created_at": 1, "updated_at": 2}
YEAR_9999_MS = 253_402_300_799_999


def read(**overrides: object) -> Snapshot:
    return snapshot_of(encoded(user_payload("user_1", **overrides)), timestamp=NOW_MS)


def read_json(fields: str) -> Snapshot:
    """A minimal user with fields as they stand in the JSON."""
    return snapshot_of(f'{{"id": "user_1", "created_at": 1, "updated_at": 2, {fields}}}', timestamp=NOW_MS)


def refusal(**overrides: object) -> str:
    with pytest.raises(UnusableWebhookError) as refused:
        read(**overrides)
    return str(refused.value)


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value
