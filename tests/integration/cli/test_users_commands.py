"""`auth-service users …` on a real database, and on Clerk's stand-in by the real SDK."""

import pytest


async def test_get_shows_the_published_profile(stage):
    await stage.sign_up("user_ada", email_address=["Ada@example.org"], first_name="Ada")

    documents, status = await stage.json("get", "user_ada")
    as_table = await stage.run("get", "user_ada")

    assert status == 0
    (document,) = documents
    assert list(document)[:4] == ["id", "version", "email", "email_verified"]
    assert (document["id"], document["version"], document["first_name"]) == ("user_ada", 1, "Ada")
    assert (document["banned"], document["public_metadata"]) == (False, {})
    assert document["created_at"].endswith("Z")
    assert "Ada@example.org" in as_table.stdout


async def test_get_tells_users_it_does_not_have_from_deleted_ones_and_shows_the_rest(stage):
    await stage.sign_up("user_ada")
    await stage.sign_up("user_gone")
    await stage.run("delete", "user_gone", "--yes")

    documents, status = await stage.json("get", "user_never", "user_gone", "user_ada", "user_ada")
    as_text = await stage.run("get", "user_never", "user_gone")

    assert [document.get("error", "fine") for document in documents] == ["user-unknown", "user-gone", "fine"]
    assert status == 67
    assert as_text.returncode == 67
    assert as_text.stdout == ""
    assert as_text.stderr.splitlines() == ["user_never: there is no such user", "user_gone: was deleted, for ever"]


async def test_list_goes_through_everybody_page_by_page_and_narrows(stage):
    for number in range(5):
        await stage.sign_up(f"user_{number}", email_address=[f"Ada{number}@example.org"])
    await stage.run("ban", "user_3", "--yes")

    async def ids(*arguments: str) -> list[str]:
        documents, status = await stage.json("list", *arguments)
        assert status == 0
        return [document["id"] for document in documents]

    assert await ids() == [f"user_{number}" for number in range(5)]
    assert await ids("--limit", "2") == ["user_0", "user_1"]
    assert await ids("--limit", "2", "--after", "user_1") == ["user_2", "user_3"]
    assert await ids("--banned") == ["user_3"]
    assert await ids("--no-banned", "--limit", "4") == ["user_0", "user_1", "user_2", "user_4"]
    assert await ids("--locked") == []
    assert await ids("--email", "ADA2@EXAMPLE.org") == ["user_2"]
    assert await ids("--email", "nobody@example.org") == []


async def test_list_is_a_table_for_people_that_nobody_can_steer(stage):
    await stage.sign_up("user_ada", first_name="[red]Ada\x1b[2J", email_address=["ada@example.org"])

    answer = await stage.run("list", "--limit", "1")
    nobody = await stage.run("list", "--banned")

    assert "[red]Ada?[2J" in answer.stdout
    assert "\x1b" not in answer.stdout
    assert "--after user_ada" in answer.stderr
    assert (nobody.returncode, nobody.stdout, nobody.stderr) == (0, "", "There are no such users.\n")


async def test_list_at_clerk_shows_what_clerk_has_the_last_changed_first(stage):
    for user in ("user_a", "user_b", "user_c"):
        stage.clerk.instance.create(user, first_name=user)
    stage.clerk.instance.set_fields("user_b", image_url=7)
    for number in range(50):  # each a millisecond later, however fast
        stage.clerk.instance.update("user_a", first_name=f"Ada {number}")

    first, status = await stage.json("list", "--at-clerk", "--limit", "1")
    everybody, _ = await stage.json("list", "--at-clerk")
    as_table = await stage.run("list", "--at-clerk")

    assert (status, as_table.returncode) == (0, 0)
    assert [(user["id"], user["first_name"], user["version"]) for user in first] == [("user_a", "Ada 49", None)]
    assert {user["id"] for user in everybody} == {"user_a", "user_b", "user_c"}
    assert [user["id"] for user in everybody if "unreadable" in user] == ["user_b"]
    assert "unreadable" in as_table.stdout
    assert await stage.rows("SELECT id FROM users") == []


@pytest.mark.parametrize(("action", "undone_by", "field"), [("ban", "unban", "banned"), ("lock", "unlock", "locked")])
async def test_an_action_is_done_at_clerk_and_here_and_told_once(stage, action, undone_by, field):
    await stage.sign_up("user_ada")

    done, status = await stage.json(action, "user_ada", "--yes")
    again, _ = await stage.json(action, "user_ada", "--yes")
    undone = await stage.run(undone_by, "user_ada")

    assert status == 0
    assert [(document["id"], document["outcome"], document["user"][field]) for document in done + again] == [
        ("user_ada", "updated", True),
        ("user_ada", "unchanged", True),
    ]
    assert undone.stdout.startswith("user_ada: not ")
    assert stage.clerk.instance.get("user_ada")[field] is False
    assert await stage.events() == [
        ("user_ada", 1, "created"),
        ("user_ada", 2, "updated"),
        ("user_ada", 3, "updated"),
    ]


async def test_set_metadata_merges_deeply_and_null_removes(stage):
    await stage.sign_up("user_ada")
    await stage.run("set-metadata", "user_ada", "--patch", '{"plan": "free", "deep": {"a": 1, "b": 2}}')

    done, status = await stage.json(
        "set-metadata", "user_ada", "--set", "plan=pro", "--set", "seats=3", "--set", 'deep={"a": null, "c": true}'
    )

    assert status == 0
    assert done[0]["user"]["public_metadata"] == {"plan": "pro", "seats": 3, "deep": {"b": 2, "c": True}}
    assert stage.clerk.instance.get("user_ada")["public_metadata"] == done[0]["user"]["public_metadata"]


async def test_revoke_sessions_ends_those_that_are_active_and_tells_how_many(stage):
    await stage.sign_up("user_ada")
    for _ in range(3):
        stage.clerk.instance.sign_in("user_ada")

    first, status = await stage.json("revoke-sessions", "user_ada", "--yes")
    second = await stage.run("revoke-sessions", "user_ada", "--yes")

    assert (first, status) == ([{"id": "user_ada", "action": "revoke-sessions", "revoked": 3}], 0)
    assert second.stdout == "user_ada: 0 sessions ended\n"
    assert stage.clerk.instance.sessions(user_id="user_ada", status="active") == []


async def test_delete_leaves_a_tombstone_without_personal_data_and_one_event(stage):
    await stage.sign_up("user_ada", email_address=["ada@example.org"])

    done, status = await stage.json("delete", "user_ada", "--yes")

    assert status == 0
    (document,) = done
    assert (document["outcome"], set(document["user"])) == ("deleted", {"id", "version", "deleted_at"})
    assert stage.clerk.instance.user_ids() == []
    assert await stage.rows("SELECT email, deleted_at IS NULL FROM users") == [(None, False)]
    assert (await stage.events())[-1] == ("user_ada", 2, "deleted")


async def test_sync_repairs_what_a_lost_webhook_left_wrong(stage):
    await stage.sign_up("user_ada", first_name="Ada")
    with stage.clerk.instance.quietly():
        stage.clerk.instance.update("user_ada", first_name="Augusta")

    done, status = await stage.json("sync", "user_ada", "--yes")

    assert (status, done[0]["outcome"], done[0]["user"]["first_name"]) == (0, "updated", "Augusta")


async def test_sync_deletes_here_whom_clerk_no_longer_has_and_says_so(stage):
    await stage.sign_up("user_ada")
    with stage.clerk.instance.quietly():
        stage.clerk.instance.delete("user_ada")

    answer = await stage.run("sync", "user_ada", "--yes")

    assert (answer.returncode, answer.stdout) == (0, "user_ada: deleted here: Clerk has no such user (version 2)\n")


async def test_several_users_are_done_each_by_itself(stage):
    for user in ("user_a", "user_c"):
        await stage.sign_up(user)

    answer = await stage.run("ban", "user_a", "user_b", "user_c", "user_a", "--yes")

    assert answer.returncode == 67
    assert [line.split(" (")[0] for line in answer.stdout.splitlines()] == ["user_a: banned", "user_c: banned"]
    assert answer.stderr.startswith("user_b: Clerk has no such user")
