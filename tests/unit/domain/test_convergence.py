"""Any order and any multiplicity of the same deliveries end in the same user."""

from functools import reduce
from itertools import pairwise

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from domain.delete_user import delete_user
from domain.events import UserDeleted, UserEvent
from domain.snapshot import Deletion, Snapshot
from domain.sync_user import sync_user
from domain.user import Known, Tombstone, User
from support.users import deletions, snapshots

Delivery = Snapshot | Deletion
deliveries = st.lists(snapshots | deletions, min_size=1, max_size=8)


def deliver(all_of_them: list[Delivery]) -> tuple[Known, list[UserEvent]]:
    def step(so_far: tuple[Known, list[UserEvent]], news: Delivery) -> tuple[Known, list[UserEvent]]:
        known, events = so_far
        decision = sync_user(known, news) if isinstance(news, Snapshot) else delete_user(known, news)
        return decision.user, [*events, *decision.events]

    nothing: tuple[Known, list[UserEvent]] = (None, [])
    return reduce(step, all_of_them, nothing)


def content(known: Known) -> object:
    """The state without its version and the time shown, which tell how often and when it was published on the way."""
    if isinstance(known, User):
        return known.source, known.profile
    assert isinstance(known, Tombstone)
    return evolve(known, version=0)


@given(data=st.data(), some=deliveries)
def test_any_order_and_any_multiplicity_of_the_same_deliveries_end_in_the_same_user(data, some):
    repeated = some + data.draw(st.lists(st.sampled_from(some), max_size=8))
    shuffled = data.draw(st.permutations(repeated))

    assert content(deliver(shuffled)[0]) == content(deliver(some)[0])


@given(deliveries)
def test_the_events_of_a_user_have_the_versions_1_2_3_with_no_gap(some):
    known, events = deliver(some)

    assert [event.user.version for event in events] == list(range(1, len(events) + 1))
    assert known is not None
    assert known.version == len(events)


@given(before=deliveries, after=deliveries, gone=deletions)
def test_nothing_resurrects_a_deleted_user(before, after, gone):
    known, events = deliver([*before, gone, *after])

    assert isinstance(known, Tombstone)
    assert [type(event) for event in events].count(UserDeleted) == 1
    assert isinstance(events[-1], UserDeleted)


@given(deliveries)
def test_the_last_event_shows_the_user_as_it_ended(some):
    known, events = deliver(some)

    last = events[-1].user
    if isinstance(known, User):
        assert isinstance(last, User)
        assert last == evolve(known, source=last.source)
    else:
        assert last == known


@given(deliveries)
def test_each_updated_event_names_exactly_the_fields_that_differ_from_the_event_before(some):
    _, events = deliver(some)

    for before, after in pairwise(events):
        if isinstance(after, UserDeleted):
            continue
        differing = {
            name
            for name in ("first_name", "public_metadata", "banned")
            if repr(getattr(before.user.profile, name)) != repr(getattr(after.user.profile, name))
        }
        assert set(after.changed) == differing
