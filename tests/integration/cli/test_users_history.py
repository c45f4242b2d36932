"""`auth-service users history` and `users erased`, as processes, on a real database and a real Kafka."""

import asyncio
import json
from pathlib import Path

import pytest
from attrs import frozen

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import PostgresOutbox
from application.relay.lanes import LANES
from application.relay.messages import RefusedMessage
from support.clerk_stand_in import RunningStandIn
from support.publishing import publisher_to
from support.terminal import on_terminal
from support.users_stage import Answer, Stage

EMAIL = "ada@example.org"


@frozen
class Told(Stage):
    """A stage with a Kafka, and what a relay does, by hand."""

    kafka: str
    topic: str

    @property
    def variables(self):
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "KAFKA_USER_EVENTS_TOPIC": self.topic,
            "KAFKA_SESSION_EVENTS_TOPIC": f"{self.topic}-none",
        }

    async def ask(self, *arguments: str, **variables: str) -> Answer:
        return await self.run(*arguments, **{**self.variables, **variables})

    async def document(self, *arguments: str, **variables: str):
        answer = await self.ask(*arguments, "--json", **variables)
        return json.loads(answer.stdout), answer.returncode

    async def relay(self, *, refuse: bool = False) -> None:
        engine = create_engine(read_target(self.database_url), pool_size=1, application_name="tests")
        outbox, publisher = PostgresOutbox(engine), publisher_to(self.kafka, self.topic)
        try:
            waiting = await outbox.oldest(range(LANES), 100)
            if refuse:
                await outbox.move_to_dead_letters([RefusedMessage(item, "too large", 2) for item in waiting])
            else:
                async with asyncio.timeout(30):
                    await outbox.delete((await publisher.publish(waiting)).acknowledged)
        finally:
            await publisher.aclose()
            await engine.dispose()

    async def change(self, user: str, **fields) -> None:
        self.clerk.instance.update(user, **fields)
        await self.take_in(self.clerk.instance.get(user))


@pytest.fixture
def told(database_url: str, tmp_path: Path, clerk_stand_in: RunningStandIn, kafka_address: str, topic: str) -> Told:
    return Told(database_url, tmp_path, clerk_stand_in, kafka_address, topic)


async def live(told: Told) -> None:
    """Leave four versions: two in the topic, a dead letter, and one that waits."""
    await told.sign_up("user_ada", email_address=[EMAIL], first_name="Ada")
    await told.change("user_ada", first_name="Augusta")
    await told.relay()
    await told.change("user_ada", public_metadata={"plan": "pro"})
    await told.relay(refuse=True)
    await told.change("user_ada", last_name="King")


async def test_each_version_is_shown_with_what_changed_and_where_it_is(told):
    await live(told)

    document, status = await told.document("history", "user_ada")

    assert status == 0
    assert (document["row"]["version"], document["deleted"], document["missing"]) == (4, False, [])
    one, two, three, four = document["versions"]
    assert [version["type"] for version in document["versions"]] == [
        "anomalyze.user.created.v1",
        *["anomalyze.user.updated.v1"] * 3,
    ]
    assert {"field": "email", "before": None, "after": EMAIL} in one["changes"]
    assert two["changes"] == [{"field": "first_name", "before": "Ada", "after": "Augusta"}]
    assert [place["offset"] for version in (one, two) for place in version["published"]] == [0, 1]
    assert three["dead_letter"]["error"] == "too large"
    assert three["changes"] == [{"field": "public_metadata.plan", "before": None, "after": "pro"}]
    assert four["waiting_since"]
    assert four["changes"] == [{"field": "last_name", "before": None, "after": "King"}]
    assert len(document["topic"]["searched"]) == 1


async def test_people_see_a_diff_and_pipes_a_line_for_each_change(told):
    await live(told)

    piped = await told.ask("history", "user_ada")
    variables = {"DATABASE_URL": told.database_url, **told.variables}
    status, text = await asyncio.to_thread(
        on_terminal, told.folder, "users", "history", "user_ada", columns=80, variables=variables
    )

    header, *rows = [line.split("\t") for line in piped.stdout.splitlines()]
    assert header == ["version", "event", "time", "where", "trace", "field", "before", "after"]
    assert {len(row) for row in rows} == {8}
    assert ["2", "updated", "first_name", "Ada", "Augusta"] in [[*row[:2], *row[5:]] for row in rows]
    assert status == 0
    assert "- first_name  Ada" in text
    assert "+ first_name  Augusta" in text
    assert "dead letter" in text
    assert "outbox since" in text


async def test_of_a_deleted_user_nothing_personal_is_shown_but_where_it_is(told):
    await live(told)
    await told.run("delete", "user_ada", "--yes")
    await told.relay()

    shown = await told.ask("history", "user_ada")
    document, status = await told.document("history", "user_ada")

    assert (shown.returncode, status) == (0, 0)
    assert (document["deleted"], set(document["row"])) == (True, {"id", "version", "deleted_at"})
    assert [version["version"] for version in document["versions"]] == [1, 2, 3, 4, 5]
    for secret in (EMAIL, "Augusta", "King", "plan"):
        assert secret not in json.dumps(document) + shown.stdout + shown.stderr
    assert document["versions"][1]["changed"] == ["first_name"]
    assert "users erased" in shown.stderr


async def test_a_user_nobody_knows_is_told_as_get_tells_it(told):
    get = await told.ask("get", "user_never", CLERK_SECRET_KEY="")
    history = await told.ask("history", "user_never")
    document, status = await told.document("history", "user_never")

    assert (history.stdout, history.stderr, history.returncode) == (get.stdout, get.stderr, get.returncode)
    assert (document, status) == (
        {"id": "user_never", "error": "user-unknown", "message": "there is no such user"},
        67,
    )


async def test_a_topic_that_is_missing_is_told(told):
    await live(told)

    document, status = await told.document("history", "user_ada", KAFKA_USER_EVENTS_TOPIC=f"{told.topic}-2")

    assert (document["error"], status) == ("broker-unavailable", 69)
    assert "topic missing" in document["message"]


@pytest.mark.parametrize("command", ["history", "erased"])
async def test_what_is_out_of_reach_is_told_with_its_variable(told, command):
    await told.sign_up("user_ada")
    cases = {
        "KAFKA_BOOTSTRAP_SERVERS": ("127.0.0.1:1", 69),
        "DATABASE_URL": ("postgresql://nobody:hush@127.0.0.1:1/none", 69),
    }
    for variable, (value, status) in cases.items():
        answer = await told.ask(command, "user_ada", **{variable: value})

        assert (answer.returncode, answer.stdout) == (status, ""), answer.stderr
        assert variable in answer.stderr
        assert "hush" not in answer.stderr
        assert "Traceback" not in answer.stderr
    unset = await told.ask(command, "user_ada", KAFKA_BOOTSTRAP_SERVERS="")
    assert unset.returncode == 78
    assert "KAFKA_BOOTSTRAP_SERVERS: missing" in unset.stderr


async def test_erased_names_what_is_left_of_a_living_a_deleted_and_an_unknown_user(told):
    await live(told)

    living, status = await told.document("erased", "user_ada")
    assert status == 1
    places = {place["name"]: place for place in living["places"]}
    assert [places[name]["left"] for name in ("users", "outbox", "outbox_dead", told.topic)] == [1, 1, 1, 2]
    assert places[told.topic]["until"].endswith("Z")
    assert not places[told.topic]["overdue"]

    await told.run("delete", "user_ada", "--yes")
    await told.relay()
    deleted, status = await told.document("erased", "user_ada")
    shown = await told.ask("erased", "user_ada")
    assert (status, deleted["deleted"]) == (0, True)
    places = {place["name"]: place["left"] for place in deleted["places"]}
    assert places == {
        "users": 0,
        "outbox": 0,
        "outbox_dead": 0,
        "revoked_session": 0,
        told.topic: 3,
        f"{told.topic}-none": 0,
    }
    assert shown.returncode == 0
    assert EMAIL not in shown.stdout + shown.stderr

    never, status = await told.document("erased", "user_never")
    assert (status, {place["left"] for place in never["places"]}) == (0, {0})
