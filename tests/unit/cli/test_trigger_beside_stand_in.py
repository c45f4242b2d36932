"""`auth-service trigger` where a stand-in for Clerk runs, which learns what is sent."""

import pytest

from adapters.clerk.webhooks import ClerkWebhooks
from application.errors import ForgedWebhookError
from application.users.signing_key import parse_signing_key
from support.clerk_stand_in import running_stand_in
from support.triggering import data_of, trigger


@pytest.fixture
def clerk(keys, monkeypatch):
    with running_stand_in() as running:
        monkeypatch.setenv("CLERK_SECRET_KEY", running.secret_key)
        monkeypatch.setenv("CLERK_API_URL", running.url)
        monkeypatch.setenv("CLERK_WEBHOOK_SECRET", keys.webhook_secret)
        yield running


def test_whoever_is_triggered_exists_at_the_stand_in_too_and_it_sends_nothing_itself(clerk, service):
    trigger(
        "user.created", "--user", "user_1", "--email", "ada@dev.example", "--set", "banned=true", "--url", service.url
    )
    trigger("user.created", "--user", "user_2", "--url", service.url)

    assert clerk.instance.get("user_1") == data_of(service.deliveries[0])
    assert sorted(clerk.instance.user_ids()) == ["user_1", "user_2"]
    assert clerk.webhooks.pending == 0
    assert {attempt.url for attempt in clerk.webhooks.attempts} == {service.url}  # told of, for its console
    trigger("user.deleted", "--user", "user_1", "--url", service.url)
    assert clerk.instance.user_ids() == ["user_2"]


def test_an_update_changes_what_the_stand_in_has(clerk, service):
    clerk.instance.create("user_1", first_name="Grace", username="grace")
    with clerk.instance.quietly():
        clerk.instance.set_banned("user_1", banned=True)
    trigger("user.updated", "--user", "user_1", "--set", "last_name=Hopper", "--url", service.url)

    data = data_of(service.deliveries[0])
    assert (data["first_name"], data["last_name"], data["username"], data["banned"]) == (
        "Grace",
        "Hopper",
        "grace",
        True,
    )
    assert clerk.instance.get("user_1") == data


def test_what_the_stand_in_cannot_keep_is_sent_all_the_same(clerk, service, capsys):
    trigger("user.created", "--user", "user_1", "--set", "updated_at=yesterday", "--url", service.url)

    assert data_of(service.deliveries[0])["updated_at"] == "yesterday"
    assert clerk.instance.user_ids() == []
    assert "refuses the change (400)" in capsys.readouterr().err


def test_a_stand_in_that_is_away_is_told_and_the_webhook_is_sent(clerk, service, capsys, monkeypatch):
    monkeypatch.setenv("CLERK_API_URL", "http://127.0.0.1:1")
    assert trigger("user.updated", "--user", "user_1", "--url", service.url) in (0, None)

    assert len(service.deliveries) == 1
    assert "does not answer: it did not get the change" in capsys.readouterr().err


@pytest.mark.parametrize("secret_key", ["", "sk_live_of_an_instance"])
def test_nobody_but_a_stand_in_is_told(clerk, service, monkeypatch, secret_key):
    monkeypatch.setenv("CLERK_SECRET_KEY", secret_key)
    trigger("user.created", "--user", "user_1", "--url", service.url)

    assert len(service.deliveries) == 1
    assert clerk.requests == []
    assert len(clerk.instance) == 0


def test_the_stand_in_learns_what_was_sent_and_what_was_answered(clerk, service):
    clerk.send_webhooks_to("http://127.0.0.1:1/")
    trigger("user.created", "--user", "user_1", "--times", 2, "--url", service.url)

    first, second = clerk.webhooks.attempts
    assert (first.svix_id, first.outcome, first.answer) == (second.svix_id, 200, b'{"outcome":"created"}')
    assert (first.number, second.number) == (1, 2)
    sent = service.deliveries[0]
    assert (first.svix_id, first.body) == (sent.headers["svix-id"], sent.body)
    assert first.trace_id in sent.headers["traceparent"]
    assert first.trace_id != second.trace_id


def test_a_delivery_is_sent_again_as_it_was_in_the_order_that_was_asked_for(clerk, service):
    clerk.send_webhooks_to("http://127.0.0.1:1/")
    for name in ("Ada", "Grace"):
        trigger("user.updated", "--user", "user_1", "--set", f"first_name={name}", "--url", service.url)
    ada, grace = [delivery.headers["svix-id"] for delivery in service.deliveries]
    trigger("--again", grace, "--again", ada, "--times", 2, "--url", service.url)

    again = service.deliveries[2:]
    assert [delivery.headers["svix-id"] for delivery in again] == [grace, grace, ada, ada]
    assert again[0].body == service.deliveries[1].body


def test_a_forged_delivery_is_not_genuine_and_changes_nothing_at_the_stand_in(clerk, service, keys):
    service.status = 400
    assert trigger("user.created", "--user", "user_1", "--forged", "--url", service.url) == 1

    (sent,) = service.deliveries
    with pytest.raises(ForgedWebhookError):
        ClerkWebhooks([parse_signing_key(keys.webhook_secret)]).read(sent.headers, sent.body)
    assert clerk.instance.user_ids() == []
    assert [attempt.forged for attempt in clerk.webhooks.attempts] == [True]


def test_a_dropped_delivery_is_known_to_the_stand_in_alone_and_can_be_sent_later(clerk, service, capsys):
    clerk.send_webhooks_to("http://127.0.0.1:1/")
    trigger("user.created", "--user", "user_1", "--drop", "--url", service.url)
    assert capsys.readouterr().out == "user.created user_1 -> dropped\n"
    assert service.deliveries == []
    (lost,) = clerk.webhooks.attempts
    assert (lost.outcome, lost.number) == ("dropped", 0)
    trigger("--again", lost.svix_id, "--url", service.url)

    assert [delivery.body for delivery in service.deliveries] == [lost.body]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "Name an event"),
        (["user.created", "--again", "msg_1"], "--again sends a stored delivery"),
        (["--again", "msg_1", "--drop"], "--again sends a stored delivery"),
        (["user.created", "--drop", "--forged"], "--drop needs a stand-in"),
        (["user.created", "--drop", "--times", "2"], "cannot be combined with --forged or --times"),
    ],
)
def test_options_that_contradict_each_other_are_named(clerk, service, options, text, capsys):
    assert trigger(*options, "--url", service.url) == 2
    assert text in capsys.readouterr().err
    assert service.deliveries == []


def test_a_delivery_that_nobody_remembers_is_named(clerk, service, capsys):
    assert trigger("--again", "msg_x", "--url", service.url) == 1
    assert "has no delivery msg_x" in capsys.readouterr().err
