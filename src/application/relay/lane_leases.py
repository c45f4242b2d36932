"""How the relays that are alive share the lanes."""

from collections.abc import Collection, Mapping
from typing import Protocol

from attrs import frozen

LEASE_S = 9  # how long a lane stays with a relay that does not renew it: the longest that a dead relay's events wait


@frozen(kw_only=True)
class LaneTable:
    """The leases as one relay just read them."""

    owners: Mapping[int, str | None]  # who holds each lane; `None` when nobody does or the lease has run out
    relays: Collection[str]  # the relays that were seen within a lease's time, this one among them


@frozen
class LaneShare:
    hold: frozenset[int]  # lanes to renew or to take
    release: frozenset[int]  # lanes that another relay should have


def share_lanes(table: LaneTable, me: str) -> LaneShare:
    """Decide which lanes to hold: my fair share, keeping what I have, taking only what is free.

    Nothing is taken from a living relay; one that holds too many gives up the surplus itself. Whatever the order in
    which relays decide, they end with shares that differ by one at most and leave no lane alone.
    """
    mine = sorted(lane for lane, owner in table.owners.items() if owner == me)
    free = sorted(lane for lane, owner in table.owners.items() if owner is None)
    relays = sorted(table.relays)
    fair, rest = divmod(len(table.owners), len(relays))
    # The first `rest` relays by name take one more, so that all of them agree on who does.
    most = fair + (relays.index(me) < rest)
    keep = mine[:most]
    take = free[: most - len(keep)]
    return LaneShare(frozenset(keep + take), frozenset(mine[most:]))


class LaneLeases(Protocol):
    """The leases, kept in the database. All methods raise StoreUnavailableError when there is none."""

    async def read(self, relay: str) -> LaneTable:
        """Say that `relay` is alive, and return the leases as they are now."""

    async def write(self, relay: str, share: LaneShare) -> frozenset[int]:
        """Renew and take `hold`, give up `release`; return the lanes now held: of two that take one, one gets it."""

    async def leave(self, relay: str) -> None:
        """Give up every lane and be forgotten."""
