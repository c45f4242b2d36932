"""Pages of the stand-in's users are those of a list that is filtered and sorted in the plainest way."""

from hypothesis import given
from hypothesis import strategies as st

from devkit.fake_clerk.listing import Query, Users

TIMES = st.integers(0, 6)
PUTS = st.tuples(st.just("put"), st.integers(0, 8), TIMES, TIMES)
REMOVES = st.tuples(st.just("remove"), st.integers(0, 8), st.just(0), st.just(0))
STEPS = st.lists(PUTS | REMOVES, max_size=30)
BOUNDS = st.none() | st.tuples(st.integers(-1, 7), st.integers(-1, 7))


def plainly(users, query):
    after, before = query.created or (-1, 99)
    wanted = [user for user in users.values() if after < user["created_at"] < before]
    wanted.sort(key=lambda user: (user[query.order], user["id"]), reverse=query.descending)
    return wanted


@given(
    steps=STEPS,
    order=st.sampled_from(["created_at", "updated_at"]),
    descending=st.booleans(),
    created=BOUNDS,
    offset=st.integers(0, 10),
    limit=st.integers(1, 10),
)
def test_a_page_is_what_a_sorted_list_would_give(steps, order, descending, created, offset, limit):
    users, plain = Users(), {}
    for step, number, created_at, updated_at in steps:
        user = {"id": f"user_{number}", "created_at": created_at, "updated_at": updated_at}
        if step == "put":
            users.put(user)
            plain[user["id"]] = user
        else:
            users.remove(user["id"])
            plain.pop(user["id"], None)
    query = Query(order=order, descending=descending, created=created, offset=offset, limit=limit)

    assert users.page(query) == plainly(plain, query)[offset : offset + limit]
    assert users.count(query) == len(plainly(plain, query))
    assert len(users) == len(plain)


def test_an_identifier_has_one_owner_and_is_free_when_that_one_goes():
    users = Users()
    ada = {"id": "user_a", "created_at": 1, "updated_at": 1, "username": "ada"}
    users.put(ada)
    assert users.owner(("username", "ada")) == "user_a"

    users.put({**ada, "username": "augusta"})
    assert (users.owner(("username", "ada")), users.owner(("username", "augusta"))) == (None, "user_a")
    users.remove("user_a")
    assert users.owner(("username", "augusta")) is None
