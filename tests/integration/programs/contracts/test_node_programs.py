"""What AsyncAPI's, CloudEvents' and Clerk's own JavaScript make of what we write, and of our stand-in for Clerk."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from adapters.kafka.cloudevents import encode
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from support.message_headers import headers
from support.users import USER, deletion, snapshot

pytestmark = pytest.mark.programs

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[3] / "docs/asyncapi.json"


def node(script, *arguments, stdin=None, **variables):
    command = ["node", HERE / script, *arguments]
    done = subprocess.run(
        command, input=stdin, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_asyncapis_parser_has_nothing_to_say_about_the_document():
    assert json.loads(node("asyncapi.mjs", DOCUMENT)) == {"parsed": True, "said": []}


def test_cloudevents_own_sdk_reads_every_kind_of_event():
    created = sync_user(None, snapshot(first_name="Ada"))
    updated = sync_user(created.user, snapshot(first_name="Augusta", at=2000))
    deleted = delete_user(updated.user, deletion())
    messages = [encode(event) for decision in (created, updated, deleted) for event in decision.events]
    records = [{"key": item.key, "headers": headers(item), "value": item.payload.decode()} for item in messages]

    read = json.loads(node("cloudevents.mjs", stdin=json.dumps(records)))

    assert [event["type"].split(".")[2] for event in read] == ["created", "updated", "deleted"]
    assert [event["id"] for event in read] == [str(item.event_id) for item in messages]
    assert [event["data"] for event in read] == [json.loads(item.payload) for item in messages]
    assert all(event["subject"] == event["partitionkey"] == USER for event in read)


def test_clerks_own_sdk_for_node_works_against_the_stand_in(clerk_stand_in):
    assert node("clerk.mjs", **clerk_stand_in.environment).strip() == "ok"
