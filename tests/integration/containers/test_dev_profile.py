"""The profile `dev`: a Clerk to click on where there is none, and nobody to stand in for where `.env` names one."""

import json
import shutil
import time

import httpx
import pytest

from devkit.fake_clerk.signing import sign_webhook
from entrypoints.config.made_up import under
from entrypoints.config.settings.catalogue import known_names
from support.compose import ROOT, Stack, stack
from support.web import PUBLISHABLE_KEY, SECRET, created

pytestmark = pytest.mark.containers

# The browser's image cannot be pulled everywhere, and the stand-in's port may be taken.
WITHOUT_WHAT_IS_NOT_OURS = """
services:
  kafka-browser: {profiles: !override [elsewhere]}
  clerk-stand-in: {ports: !override []}
"""
SIGN_UP = """
import json, urllib.request
key = open("var/dev/clerk-secret-key").read().strip()
user = json.dumps({"email_address": ["grace@example.org"], "first_name": "Grace"}).encode()
headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
request = urllib.request.Request("http://clerk-stand-in.test:3004/v1/users", user, headers)
print(urllib.request.urlopen(request).read().decode())
"""


@pytest.fixture
def profile(tmp_path):
    """A folder with the stack, and what Compose is told of it."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / "ours.yml").write_text(WITHOUT_WHAT_IS_NOT_OURS)
    return {"folder": tmp_path, "COMPOSE_FILE": "docker-compose.yml:ours.yml", "COMPOSE_PROFILES": "dev"}


def test_without_keys_whoever_signs_up_at_the_stand_in_is_a_user_of_the_service(profile):
    with stack(**profile) as compose:
        user = json.loads(compose.compose("exec", "-T", "serve", "python", "-c", SIGN_UP))["id"]
        deadline = time.monotonic() + 30
        while user not in compose.query("SELECT id FROM users"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        token = compose.service("token", "--user", user).strip()
        me = httpx.get(f"{compose.url}/v1/me", headers={"authorization": f"Bearer {token}"}, timeout=20)
        at_clerk = compose.service("users", "list", "--at-clerk", "--json")

    assert (me.status_code, me.json()["first_name"]) == (200, "Grace")
    assert user in at_clerk


def test_with_keys_there_is_no_stand_in_and_nothing_is_made_up(profile):
    keys = {
        "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "CLERK_SECRET_KEY": "sk_test_ofAnInstance",
        "CLERK_WEBHOOK_SECRET": SECRET,
    }
    (profile["folder"] / ".env").write_text("".join(f"{name}={value}\n" for name, value in keys.items()))
    body = created("user_ofClerk")
    with stack(**profile) as compose:
        headers = sign_webhook(SECRET, "msg_1", int(time.time()), body)
        answer = httpx.post(f"{compose.url}/webhooks/clerk", content=body, headers=headers, timeout=20)
        said = compose.compose("logs", "--no-log-prefix", "dev-keys-of-clerk-stand-in")
        running = compose.compose("ps", "--services").split()
        made_up = compose.compose("exec", "-T", "serve", "cat", ".env")

    assert answer.json() == {"outcome": "created"}
    assert "a Clerk instance is configured, so no keys are generated and no stand-in for Clerk is needed." in said
    assert sorted(running) == ["kafka", "postgres", "proxy", "relay", "serve"]
    assert "=" not in made_up


@pytest.mark.parametrize("name", [None, *sorted(name for name in known_names() if name.startswith("CLERK_"))])
def test_the_stand_in_runs_where_its_address_would_be_used(name):
    variables = {name: "set"} if name else {}
    effective = under(variables, {"CLERK_API_URL": "of the stand-in"})
    services = Stack("auth-service-test", 0, variables=variables).compose("--profile=dev", "config", "--services")

    assert ("clerk-stand-in" in services.split()) == (effective.get("CLERK_API_URL") == "of the stand-in")
    assert "kafka-browser" in services.split()
