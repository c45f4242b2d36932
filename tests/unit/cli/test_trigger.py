import json

import pytest

from adapters.clerk.webhooks import ClerkWebhooks
from application.users.signing_key import parse_signing_key
from domain.snapshot import Deletion
from support.triggering import data_of, trigger


def test_a_delivery_is_genuine_and_its_answer_is_shown(keys, service, capsys):
    status = trigger("user.created", "--user", "user_ada", "--url", service.url)

    assert status in (0, None)
    (delivery,) = service.deliveries
    assert delivery.path == "/webhooks/clerk"
    news = ClerkWebhooks([parse_signing_key(keys.webhook_secret)]).read(delivery.headers, delivery.body)
    assert (news.id, news.profile.email) == ("user_ada", "ada@example.org")
    assert capsys.readouterr().out == 'user.created user_ada -> 200 {"outcome":"created"}\n'


def test_the_service_of_dev_is_where_it_goes_by_itself(keys, service, monkeypatch):
    monkeypatch.setenv("PORT", str(service.server_port))

    trigger("user.created")

    assert [delivery.path for delivery in service.deliveries] == ["/webhooks/clerk"]


def test_a_user_of_no_name_is_a_new_one_each_time_and_is_told(keys, service, capsys):
    trigger("user.created", "--url", service.url)
    trigger("user.created", "--url", service.url)

    first, second = (data_of(delivery)["id"] for delivery in service.deliveries)
    assert first != second
    assert first in capsys.readouterr().out


def test_fields_are_set_as_json_or_else_as_text(keys, service):
    options = ["--set", "banned=true", "--set", "first_name=Grace", "--set", 'public_metadata={"plan": "a=b"}']

    trigger("user.updated", *options, "--email", "grace@example.org", "--url", service.url)

    (delivery,) = service.deliveries
    news = ClerkWebhooks([parse_signing_key(keys.webhook_secret)]).read(delivery.headers, delivery.body)
    assert news.profile.banned is True
    assert news.profile.first_name == "Grace"
    assert news.profile.public_metadata == {"plan": "a=b"}
    assert (news.profile.email, news.profile.email_verified) == ("grace@example.org", True)


def test_two_events_of_one_user_differ_only_in_what_was_set(keys, service):
    trigger("user.created", "--user", "user_ada", "--url", service.url)
    trigger("user.updated", "--user", "user_ada", "--set", "first_name=Grace", "--url", service.url)

    before, after = map(data_of, service.deliveries)
    assert {name for name in before if before[name] != after[name]} <= {"first_name", "updated_at"}


def test_the_same_delivery_goes_out_as_often_as_wanted(keys, service):
    trigger("user.created", "--times", 3, "--url", service.url)

    assert len(service.deliveries) == 3
    assert len({(delivery.headers["svix-id"], delivery.body) for delivery in service.deliveries}) == 1


def test_a_deletion_says_no_more_than_the_id(keys, service):
    trigger("user.deleted", "--user", "user_ada", "--url", service.url)

    (delivery,) = service.deliveries
    news = ClerkWebhooks([parse_signing_key(keys.webhook_secret)]).read(delivery.headers, delivery.body)
    assert isinstance(news, Deletion)
    assert data_of(delivery) == {"deleted": True, "id": "user_ada", "object": "user"}


@pytest.mark.parametrize("wrap", [lambda user: user, lambda user: {"type": "user.created", "data": user}])
def test_a_file_may_hold_the_user_or_the_whole_event(keys, service, folder, wrap):
    user = {"id": "user_file", "created_at": 1, "updated_at": 2, "username": "from-file"}
    (folder / "x.json").write_text(json.dumps(wrap(user)))

    trigger("user.updated", "--data", "x.json", "--set", "banned=true", "--url", service.url)

    assert data_of(service.deliveries[0]) == {**user, "banned": True}


@pytest.mark.parametrize("content", ["", "[]", "nonsense", '"text"'])
def test_a_file_that_holds_no_object_is_named_and_nothing_is_sent(keys, service, folder, content, capsys):
    (folder / "x.json").write_text(content)

    status = trigger("user.updated", "--data", "x.json", "--url", service.url)

    assert status == 2
    assert capsys.readouterr().err.startswith("x.json ")
    assert service.deliveries == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["user.created", "--user", "ada"], "--user ada: not a Clerk user id"),
        (["user.created", "--set", "first_name"], "--set first_name: expected field=value"),
        (["user.deleted", "--set", "a=1"], "user.deleted has only the id"),
        (["user.created", "--url", "ftp://x"], "--url ftp://x: "),
        (["user.created", "--url", "http://[::1"], "--url http://[::1: "),
        (["user.created", "--url", "http://a..b"], "--url http://a..b: not a URL."),
        (["user.created", "--url", "http://localhost:99999"], "--url http://localhost:99999: not a URL."),
        (["user.created", "--url", "localhost:3002"], "--url localhost:3002: "),
        (["user.created", "--data", "missing.json"], "missing.json cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(keys, options, message, capsys):
    assert trigger(*options) == 2
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize(
    ("given", "sent_to"),
    [
        ("", "/webhooks/clerk"),
        ("/", "/webhooks/clerk"),
        ("?x=1", "/webhooks/clerk?x=1"),
        ("/webhooks/clerk", "/webhooks/clerk"),
        ("/elsewhere", "/elsewhere"),
        ("/auth/webhooks/clerk/", "/auth/webhooks/clerk/"),
    ],
)
def test_a_url_without_a_path_is_the_services(keys, service, given, sent_to):
    address = service.url.removesuffix("/webhooks/clerk")

    assert trigger("user.created", "--url", f"{address}{given}") in (0, None)
    assert [delivery.path for delivery in service.deliveries] == [sent_to]


@pytest.mark.parametrize(("status", "hint"), [(400, "Does CLERK_WEBHOOK_SECRET here equal"), (503, "")])
def test_an_answer_that_is_not_2xx_is_status_1(keys, service, capsys, status, hint):
    service.status = status

    assert trigger("user.created", "--url", service.url) == 1
    shown = capsys.readouterr()
    assert f"-> {status}" in shown.out
    assert hint in shown.err


def test_nobody_there_says_how_to_start_the_service(keys, capsys):
    assert trigger("user.created", "--url", "http://127.0.0.1:1/x") == 69
    assert "Start the service with `auth-service dev`" in capsys.readouterr().err


def test_without_a_secret_the_variable_and_the_way_out_are_named(folder, capsys):
    assert trigger("user.created") == 78
    shown = capsys.readouterr().err
    assert "CLERK_WEBHOOK_SECRET: missing" in shown
    assert "Or start `auth-service dev`" in shown


@pytest.mark.parametrize("event", ["session.ended", "session.removed", "session.revoked"])
def test_the_end_of_a_session_is_genuine_and_is_of_the_session_that_is_named(keys, service, capsys, event):
    trigger(event, "--user", "user_ada", "--session", "sess_1", "--url", service.url)
    trigger(event, "--url", service.url)

    named, new = service.deliveries
    read = [
        ClerkWebhooks([parse_signing_key(keys.webhook_secret)]).read(each.headers, each.body) for each in (named, new)
    ]
    assert (read[0].id, read[0].user_id) == ("sess_1", "user_ada")
    assert read[1].id.startswith("sess_")
    assert data_of(named)["status"] == event.partition(".")[2]
    assert capsys.readouterr().out.startswith(f"{event} sess_1 -> 200 ")


def test_the_end_of_a_session_from_a_file_keeps_what_is_in_it(keys, service, tmp_path):
    file = tmp_path / "event.json"
    file.write_text(json.dumps({"type": "session.ended", "data": {"id": "sess_file", "user_id": "user_file", "x": 1}}))

    trigger("session.revoked", "--data", file, "--url", service.url)

    assert data_of(service.deliveries[0]) == {"id": "sess_file", "user_id": "user_file", "x": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ("user.created", "--session", "sess_1"),
        ("session.ended", "--email", "ada@example.org"),
        ("session.ended", "--user", "ada"),
    ],
)
def test_options_that_do_not_fit_the_event_send_nothing(keys, service, arguments):
    trigger(*arguments, "--url", service.url)

    assert service.deliveries == []
