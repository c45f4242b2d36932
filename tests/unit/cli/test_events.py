import pytest

from adapters.kafka.cloudevents import encode
from application.relay.ports import Record
from domain.delete_user import delete_user
from domain.events import UserUpdated
from domain.snapshot import Deletion
from domain.sync_user import sync_user
from entrypoints.cli.events import cells, cloud_event, line
from entrypoints.cli.main import main
from support.message_headers import headers
from support.users import USER, snapshot


def record(value, **sent):
    return Record(partition=2, offset=7, key=b"user_1", headers=sent, value=value)


def published(event):
    message = encode(event)
    return Record(partition=2, offset=7, key=b"user_1", headers=headers(message), value=message.payload)


def created():
    return sync_user(None, snapshot()).events[0]


def test_a_line_says_when_what_who_which_version_and_what_changed():
    user = created().user

    text = line(published(UserUpdated(user, ("email", "first_name")))).plain

    assert text.split() == [cloud_event(published(created()))["time"], "updated", USER, "v1", "email,", "first_name"]


def test_a_line_of_a_deletion_ends_with_the_version():
    (event,) = delete_user(None, Deletion(id=USER, deleted_at=1_000)).events

    assert line(published(event)).plain == f"1970-01-01T00:00:01.000Z  deleted   {USER}  v1"


def test_json_is_the_cloud_event():
    event = cloud_event(published(created()))

    assert event["specversion"] == "1.0"
    assert (event["type"], event["subject"]) == ("anomalyze.user.created.v1", USER)
    assert (event["datacontenttype"], event["sequence"]) == ("application/json", "00000000000000000001")
    assert event["data"]["user"]["id"] == USER
    assert event["data"]["changed"] == []


@pytest.mark.parametrize("value", [None, b"", b"plain text", b"\xff\xfe", b"[1]"])
def test_what_is_no_event_of_ours_is_told_apart(value):
    assert cells(record(value)) == ("", "unusable", "", "", "partition 2 offset 7: no CloudEvent")
    assert "partition 2 offset 7: no CloudEvent" in line(record(value)).plain


@pytest.mark.parametrize("value", [None, b"\xff", b"[1]", b'{"changed": 7}'])
def test_a_stranger_event_does_not_stop_the_reading(value):
    found = record(value, ce_type="com.example.thing", ce_sequence="x")

    assert "com.example.thing" in line(found).plain
    assert cloud_event(found)["type"] == "com.example.thing"


def test_nobody_steers_the_terminal_through_the_topic():
    found = record(b"{}", ce_type="\x1b]0;gotcha\x07", ce_subject="\x1b[2Juser_1")

    assert "\x1b" not in line(found).plain
    assert "\x07" not in line(found).plain


def test_brokers_out_of_reach_say_where_to_look(keys, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["events", "tail"])

    said = capsys.readouterr().err
    assert stop.value.code == 69
    assert "Kafka: out of reach (127.0.0.1:1: connection refused)" in said
    assert "`auth-service config events` says where it is set" in said
