import json
import time

import pytest

from adapters.clerk.webhooks import ClerkWebhooks
from application.errors import ForgedWebhookError
from application.users.signing_key import parse_signing_key
from devkit.fake_clerk import ClerkStandIn
from domain.user import parse_user_id

SECRET = "whsec_" + "c2VjcmV0" * 4
OTHER = "whsec_" + "b3RoZXIh" * 4
NOW_MS = 1_795_503_190_733


@pytest.fixture
def clerk():
    return ClerkStandIn(SECRET)


def test_new_ids_are_clerks_in_form_and_all_different(clerk):
    ids = {clerk.new_user_id(now_ms=NOW_MS) for _ in range(100)}

    assert len(ids) == 100
    assert all(len(parse_user_id(text)) == len("user_") + 27 for text in ids)


def test_an_id_tells_for_ever_when_its_user_was_created(clerk):
    new = clerk.new_user_id(now_ms=NOW_MS)

    for later in (0, 1, 86_400_000):
        assert clerk.user(new, now_ms=NOW_MS + later)["created_at"] == NOW_MS // 1000 * 1000


@pytest.mark.parametrize("name", ["user_ada", "user_" + "z" * 27, "user_" + "-" * 27])
def test_any_other_id_has_one_time_of_creation_too_and_never_in_the_future(clerk, name):
    times = {clerk.user(name, now_ms=NOW_MS)["created_at"] for _ in range(3)}

    assert len(times) == 1
    assert times.pop() <= NOW_MS


def test_a_webhook_is_genuine_for_its_own_secret_alone(clerk):
    now = int(time.time())
    webhook = clerk.webhook("user.updated", clerk.user("user_ada", now_ms=NOW_MS), happened_ms=NOW_MS, sent_s=now)

    news = ClerkWebhooks([parse_signing_key(SECRET)]).read(dict(webhook.headers), webhook.body)
    assert (news.id, news.source.updated_at, news.source.timestamp) == ("user_ada", NOW_MS, NOW_MS)
    with pytest.raises(ForgedWebhookError):
        ClerkWebhooks([parse_signing_key(OTHER)]).read(dict(webhook.headers), webhook.body)


def test_overrides_and_email_reach_the_body(clerk):
    user = clerk.user("user_ada", now_ms=NOW_MS, email="ä@example.org", banned=True)

    body = json.loads(clerk.webhook("user.updated", user, happened_ms=NOW_MS, sent_s=1).body)

    assert body["data"]["banned"] is True
    assert [entry["email_address"] for entry in body["data"]["email_addresses"]] == ["ä@example.org"]


def test_the_secret_does_not_show(clerk):
    assert SECRET not in repr(clerk)
