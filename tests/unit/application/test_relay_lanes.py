from hypothesis import given
from hypothesis import strategies as st

from application.relay.lane_leases import LaneTable, share_lanes
from application.relay.lanes import LANES, lane_of
from support.memory import MemoryLeases


def test_the_lane_of_a_key_is_the_same_in_every_process_and_version():
    assert [lane_of(key) for key in ("user_29w83sxmDNGwOuEthce5gg56FcC", "user_1", "")] == [14, 32, 0]


@given(st.text())
def test_every_key_has_a_lane(key):
    assert 0 <= lane_of(key) < LANES


def test_a_lone_relay_takes_every_lane():
    share = share_lanes(LaneTable(owners=dict.fromkeys(range(8)), relays={"a"}), "a")

    assert (share.hold, share.release) == (set(range(8)), set())


def test_a_relay_that_joins_waits_for_the_surplus_of_the_others():
    owners = dict.fromkeys(range(8), "a")

    joining = share_lanes(LaneTable(owners=owners, relays={"a", "b"}), "b")
    giving = share_lanes(LaneTable(owners=owners, relays={"a", "b"}), "a")

    assert joining.hold == set()
    assert len(giving.hold) == len(giving.release) == 4


def test_a_lane_whose_lease_ran_out_is_free_for_the_living():
    owners: dict[int, str | None] = {0: "a", 1: None, 2: None, 3: "a"}

    share = share_lanes(LaneTable(owners=owners, relays={"a"}), "a")

    assert share.hold == {0, 1, 2, 3}


@given(
    names=st.sets(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=5),
    owners=st.lists(st.none() | st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=16),
    data=st.data(),
)
async def test_whatever_order_relays_decide_in_they_end_with_even_shares_of_every_lane(names, owners, data):
    leases = MemoryLeases(owners={lane: owner if owner in names else None for lane, owner in enumerate(owners)})
    leases.relays = set(names)

    for _ in range(3):
        for name in data.draw(st.permutations(sorted(names))):
            await leases.write(name, share_lanes(await leases.read(name), name))

    held = [list(leases.owners.values()).count(name) for name in names]
    assert None not in leases.owners.values()
    assert max(held) - min(held) <= 1
