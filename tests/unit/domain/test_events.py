from domain.delete_user import delete_user
from domain.events import occurred_at
from domain.sync_user import sync_user
from support.users import deletion, snapshot


def test_an_event_occurred_when_clerk_says_that_the_user_changed():
    created = sync_user(None, snapshot(at=1000))
    updated = sync_user(created.user, snapshot(at=2000, first_name="Grace"))
    deleted = delete_user(updated.user, deletion(at=3000))

    assert [occurred_at(event) for each in (created, updated, deleted) for event in each.events] == [1000, 2000, 3000]
