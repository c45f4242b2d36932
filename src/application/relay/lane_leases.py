"""How the live relays share the lanes."""

from collections.abc import Collection, Mapping

from attrs import frozen

LEASE_S = 9  # how long a lane stays with a relay that does not renew it: the longest that a dead relay's events wait


@frozen(kw_only=True)
class LaneTable:
    """The leases as read by one relay."""

    owners: Mapping[int, str | None]  # the relay that holds each lane; `None` if none does or the lease has expired
    relays: Collection[str]  # the relays that were seen within the duration of a lease, this one included


@frozen
class LaneShare:
    hold: frozenset[int]  # lanes to renew or to take
    release: frozenset[int]  # lanes to release for another relay


def share_lanes(table: LaneTable, me: str) -> LaneShare:
    """Decide which lanes to hold: a fair share, keeping held lanes, taking only free ones.

    No lane is taken from a live relay; one that holds too many releases the surplus itself. In whatever order relays
    decide, they end with shares that differ by at most one, and with every lane held.
    """
    mine = sorted(lane for lane, owner in table.owners.items() if owner == me)
    free = sorted(lane for lane, owner in table.owners.items() if owner is None)
    relays = sorted(table.relays)
    fair, rest = divmod(len(table.owners), len(relays))
    # The first `rest` relays by name take one more, so that all relays come to the same result.
    most = fair + (relays.index(me) < rest)
    keep = mine[:most]
    take = free[: most - len(keep)]
    return LaneShare(frozenset(keep + take), frozenset(mine[most:]))
