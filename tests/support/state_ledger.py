"""What stands in the state topic, and whether it is what the table says."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from attrs import field, frozen

from application.users.representation import profile_document
from domain.user import Tombstone, User
from support.ledger import read_records


@frozen(kw_only=True)
class Record:
    """One record of the state topic; without data it is a tombstone."""

    key: str
    version: int
    headers: Mapping[str, str] = field(repr=False)
    data: dict[str, Any] | None = field(repr=False)


async def read_states(bootstrap_servers: str, topic: str, *, committed: bool = False) -> list[Record]:
    """Return all that is in the topic by now, in each partition's order; `committed`: without what was rolled back."""
    isolation = "read_committed" if committed else "read_uncommitted"
    return [_record(record) for record in await read_records(bootstrap_servers, topic, isolation=isolation)]


async def read_states_until(
    bootstrap_servers: str, topic: str, stored: Mapping[str, User | Tombstone], *, within: float
) -> list[Record]:
    """Return what was committed when the last record of each user is what the table has, or when time is up."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        records = await read_states(bootstrap_servers, topic, committed=True)
        if not faults(records, stored) or asyncio.get_running_loop().time() > deadline:
            return records
        await asyncio.sleep(0.3)


def last_of_each(records: Iterable[Record]) -> dict[str, Record]:
    """Return what compaction would leave."""
    return {record.key: record for record in records}


def faults(records: Sequence[Record], stored: Mapping[str, User | Tombstone]) -> list[str]:
    """Say what is wrong with the topic, given the table; nothing when nothing is.

    Right is: no version of a user ever comes after a newer one, and the last record of each is what the table has.
    """
    found = []
    highest: dict[str, int] = {}
    for record in records:
        if record.version < highest.get(record.key, 0):
            found.append(f"{record.key}: version {record.version} came after {highest[record.key]}")
        highest[record.key] = max(record.version, highest.get(record.key, 0))
    last = last_of_each(records)
    found += [f"{key}: in the topic, not in the table" for key in last if key not in stored]
    for key, user in stored.items():
        expected = {"user": profile_document(user)} if isinstance(user, User) else None
        if key not in last:
            found.append(f"{key}: not in the topic")
        elif (last[key].version, last[key].data) != (user.version, expected):
            found.append(f"{key}: the last record is version {last[key].version} of {user.version}")
    return found


def _record(record: Any) -> Record:
    headers = {name: value.decode() for name, value in record.headers}
    return Record(
        key=record.key.decode(),
        version=int(headers["ce_sequence"]),
        headers=headers,
        data=None if record.value is None else msgspec.json.decode(record.value),
    )
