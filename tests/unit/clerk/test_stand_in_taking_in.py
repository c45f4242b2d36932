"""The stand-in knows what somebody else's webhook tells, and tells nobody of it."""

import asyncio
import threading

import httpx
import msgspec
import pytest

from devkit.fake_clerk import assembly
from devkit.fake_clerk.instance import ClerkInstance
from devkit.fake_clerk.refusals import RefusedError
from devkit.fake_clerk.samples import sample_user
from devkit.local.keys import new_keys
from support.clerk_stand_in import running_stand_in

NOW = 1_795_503_190_733


@pytest.fixture
def told():
    return []


@pytest.fixture
def clerk(told):
    return ClerkInstance(now_ms=lambda: NOW, on_event=lambda *event: told.append(event[0]))


def user(name="user_ada", at=NOW, **changes):
    return sample_user(name, now_ms=at, **changes)


def test_a_user_is_there_as_it_was_told_and_nobody_hears_of_it(clerk, told):
    assert clerk.take_in("user.created", user(first_name="Grace"))

    assert clerk.get("user_ada") == user(first_name="Grace")
    assert told == []


def test_users_who_share_an_address_are_taken_in_and_can_be_acted_on(clerk, told):
    for name in ("user_1", "user_2"):
        clerk.take_in("user.created", user(name))

    assert clerk.set_banned("user_1", banned=True)["banned"]
    assert clerk.set_banned("user_2", banned=True)["banned"]
    assert told == ["user.updated"] * 2
    with pytest.raises(RefusedError):
        clerk.create(username="ada")


def test_older_news_changes_nothing(clerk):
    clerk.take_in("user.updated", user(first_name="New"))

    assert not clerk.take_in("user.updated", user(first_name="Old", updated_at=NOW - 1))
    assert clerk.get("user_ada")["first_name"] == "New"


def test_a_deleted_user_does_not_come_back_even_after_a_restart(clerk):
    clerk.take_in("user.created", user())
    clerk.take_in("user.deleted", {"id": "user_ada", "deleted": True})
    clerk.take_in("user.deleted", {"id": "user_never", "deleted": True})
    again = ClerkInstance(now_ms=lambda: NOW)
    again.load(clerk.dump())

    for instance in (clerk, again):
        for name in ("user_ada", "user_never"):
            assert not instance.take_in("user.created", user(name))
            with pytest.raises(RefusedError):
                instance.get(name)


def test_what_an_earlier_version_kept_is_read(clerk):
    clerk.load({"users": [user()], "sessions": []})

    assert len(clerk) == 1


def test_a_field_that_is_left_out_is_not_made_up(clerk):
    data = user()
    del data["image_url"]
    clerk.take_in("user.created", data)

    assert clerk.get("user_ada")["image_url"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "session.created", "data": {"id": "sess_1"}},
        {"type": "user.created", "data": {"id": "user_1"}},
        {"type": "user.created", "data": {"id": "user_1", "created_at": "1", "updated_at": True}},
        {"type": "user.deleted", "data": {"id": 1}},
        {"type": "user.deleted", "data": []},
    ],
)
def test_what_is_no_event_is_refused(body):
    with running_stand_in() as clerk:
        headers = {"authorization": f"Bearer {clerk.secret_key}"}
        answer = httpx.post(f"{clerk.url}/stand-in/events", json=body, headers=headers, trust_env=False)

    assert answer.status_code == 400


def test_the_end_of_a_session_is_taken_in_once(clerk, told):
    clerk.take_in("user.created", user())
    session = clerk.sign_in("user_ada")
    told.clear()

    assert clerk.take_in("session.ended", session)
    assert not clerk.take_in("session.ended", session)
    assert not clerk.take_in("session.ended", {"id": "sess_nobody", "user_id": "user_ada"})
    assert clerk.session(session["id"])["status"] == "ended"
    assert told == []


def test_what_changes_while_the_file_is_written_is_in_it_at_the_end(tmp_path, monkeypatch):
    begun, going_on = threading.Event(), threading.Event()
    encode = msgspec.json.encode

    def slowly(document):
        encoded = encode(document)
        if not begun.is_set():
            begun.set()
            going_on.wait(10)
        return encoded

    monkeypatch.setattr(assembly, "_SAVE_EVERY_S", 0.01)
    monkeypatch.setattr(assembly.msgspec.json, "encode", slowly)
    file = tmp_path / "clerk.json"
    private_key = new_keys().private_key

    async def main():
        made = assembly.stand_in(secret_key="sk_test_x", private_key=private_key, issuer="https://x.test", file=file)
        running = asyncio.create_task(made.run())
        await asyncio.sleep(0.05)  # what was there before it runs is in the file
        made.instance.take_in("user.created", user("user_before"))
        assert await asyncio.to_thread(begun.wait, 10)
        made.instance.take_in("user.created", user("user_after"))
        running.cancel()
        threading.Timer(0.2, going_on.set).start()
        await asyncio.wait([running])

    asyncio.run(main())  # which waits for its threads

    assert {each["id"] for each in msgspec.json.decode(file.read_bytes())["users"]} == {"user_before", "user_after"}
