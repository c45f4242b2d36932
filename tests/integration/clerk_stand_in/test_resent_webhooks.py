"""Messages of a stand-in that are sent again, or not at all, on request."""

import json

import pytest

from application.errors import ForgedWebhookError
from devkit.fake_clerk import webhook_sender
from support.http_server import Answer
from support.received_webhooks import lower, news, svix_ids


def test_messages_are_sent_again_one_after_the_other_in_the_order_that_is_asked_for(clerk, receiver, ask):
    user_id = clerk.instance.create()["id"]
    clerk.instance.update(user_id, first_name="Ada")
    clerk.wait_for_webhooks()
    ids = sorted(svix_ids(receiver.requests))
    receiver.answers = lambda _: Answer(after_s=0.02)
    assert ask("POST", "/stand-in/deliveries", json={"svix_ids": ids, "times": 3}).status_code == 200
    clerk.wait_for_webhooks()

    assert svix_ids(receiver.requests)[2:] == [ids[0]] * 3 + [ids[1]] * 3
    assert len({lower(request)["traceparent"] for request in receiver.requests}) == 8


def test_a_forged_copy_is_not_genuine_and_is_never_retried(clerk, receiver, ask):
    clerk.instance.create()
    clerk.wait_for_webhooks()
    receiver.answers = lambda _: Answer(400)
    svix_id = svix_ids(receiver.requests)[0]
    ask("POST", "/stand-in/deliveries", json={"svix_ids": [svix_id], "forged": True})
    clerk.wait_for_webhooks()

    genuine, forged = receiver.requests
    assert (genuine.body, news(genuine).id) == (forged.body, clerk.instance.user_ids()[0])
    with pytest.raises(ForgedWebhookError):
        news(forged)


def test_a_dropped_message_is_noted_and_can_be_sent_later(clerk, receiver, ask):
    made = ask("POST", "/v1/users", json={"username": "ada"}, headers={"stand-in-webhooks": "drop"}).json()
    clerk.wait_for_webhooks()
    (lost,) = clerk.webhooks.attempts
    assert (receiver.requests, lost.outcome, lost.number) == ([], "dropped", 0)
    found = ask("GET", f"/stand-in/deliveries/{lost.svix_id}").json()
    assert (found["user_id"], json.loads(found["body"])["data"]["username"]) == (made["id"], "ada")
    ask("POST", "/stand-in/deliveries", json={"svix_ids": [lost.svix_id]})
    clerk.wait_for_webhooks()

    assert news(receiver.requests[0]).id == made["id"]
    ask("PATCH", f"/v1/users/{made['id']}", json={"first_name": "Ada"})
    clerk.wait_for_webhooks()
    assert len(receiver.requests) == 2  # only that request's were dropped


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"svix_ids": []}, 400),
        ({"svix_ids": "msg_1"}, 400),
        ({"svix_ids": [1]}, 400),
        ({"svix_ids": ["msg_1"], "times": True}, 400),
        ({"svix_ids": ["msg_1"], "times": 0}, 400),
        ({"svix_ids": ["msg_1"], "times": 1001}, 400),
        ({"svix_ids": ["msg_1"], "forged": "yes"}, 400),
        ({"svix_ids": ["msg_1"], "more": 1}, 400),
        ({"svix_ids": ["msg_1"]}, 404),
    ],
)
def test_what_cannot_be_sent_again_is_refused(ask, body, status):
    assert ask("POST", "/stand-in/deliveries", json=body).status_code == status


@pytest.mark.parametrize("body", [{}, {"svix_id": 1}, {"svix_id": "msg_1", "outcome": []}])
def test_an_attempt_of_another_program_that_is_none_is_refused(ask, body):
    assert ask("POST", "/stand-in/attempts", json=body).status_code == 400
    assert ask("GET", "/stand-in/deliveries/msg_1").status_code == 404


def test_large_messages_are_kept_up_to_so_many_bytes(clerk, receiver, ask, monkeypatch):
    monkeypatch.setattr(webhook_sender, "MOST_BYTES", 55_000)
    ids = []
    for _ in range(8):
        ids.append(clerk.instance.create(public_metadata={"note": "x" * 8_000})["id"])
        clerk.wait_for_webhooks()  # a delivery makes its message the newest
    sent = {news(request).id: lower(request)["svix-id"] for request in receiver.requests}

    assert ask("GET", f"/stand-in/deliveries/{sent[ids[0]]}").status_code == 404
    assert all(ask("GET", f"/stand-in/deliveries/{sent[user]}").status_code == 200 for user in ids[-4:])
