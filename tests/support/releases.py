"""Samples of what a release publishes, and what a release's SDK makes of samples."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FROZEN = ROOT / "tests/fixtures/previous-release.zip"
TODAY = [ROOT / "src", ROOT / "sdk/src"]

_PUBLISH = """
import base64, json
from attrs import fields_dict
from adapters.kafka import cloudevents
from domain.events import UserCreated, UserDeleted, UserUpdated
from domain.source_version import SourceVersion
from domain.user import EmailAddress, Profile, Tombstone, User

def headers(message):
    if old := getattr(cloudevents, "headers", None):
        return old(message)
    return {name: value.decode() for name, value in cloudevents.record_headers(message)}

def user(version, **fields):
    profile = {**dict.fromkeys(fields_dict(Profile)), "email_verified": False, "emails": (), "public_metadata": {},
        "banned": False, "locked": False, "created_at": 1_790_000_000_000, **fields}
    known = {name: value for name, value in profile.items() if name in fields_dict(Profile)}  # of either release
    return User(id="user_sample", version=version, profile=Profile(**known),
        updated_at=1_790_000_000_123, source=SourceVersion(1, 1, b""))

address = EmailAddress(id="idn_1", email="Zoe@Example.com", verified=True, status="verified")
second = EmailAddress(id="idn_2", email="z@b.c", verified=False, status=None)
full = dict(email="Zoe@Example.com", email_verified=True, emails=(address, second),
    phone="+441234", username="zoe", first_name="Zo\\u00eb", last_name="\\U0001f680", image_url="https://img.example.com/1",
    external_id="7", public_metadata={"plan": "pro", "deep": [1, {"er": None}]}, banned=True, locked=True)
events = [UserCreated(user(1)), UserUpdated(user(2, **full), ("email", "banned")), UserUpdated(user(3), ()),
    UserDeleted(Tombstone(id="user_sample", version=4, deleted_at=1_790_000_000_999))]
print(json.dumps([
    {"headers": list(headers(message).items()), "value": base64.b64encode(message.payload).decode()}
    for message in map(cloudevents.encode, events)]))
"""
_READ = """
import base64, json, sys
from anomalyze_auth.events import decode

def shown(event):
    user = getattr(event, "user", None)
    return [type(event).__name__, event.event_id, event.user_id, event.version, str(event.time),
        sorted(getattr(event, "changed", ())), None if user is None else [user.email, user.first_name, user.last_name,
        [(each.id, each.email, each.verified, each.status) for each in user.emails], user.public_metadata, user.banned,
        user.locked, str(user.created_at), str(user.updated_at)]]

print(json.dumps([shown(decode([(name, text.encode()) for name, text in sample["headers"]],
    base64.b64decode(sample["value"]))) for sample in json.load(sys.stdin)]))
"""
_VERIFY = """
import json, sys
from anomalyze_auth import PemKey, SessionVerifier, TokenRejected

given = json.load(sys.stdin)
verifier = SessionVerifier(PemKey(given["pem"]), issuer=given["issuer"], authorized_parties=[given["party"]],
    now=lambda: given["now"])

def verdict(token):
    try:
        return verifier.verify_now(token).user_id
    except TokenRejected as rejected:
        return str(rejected.reason)

print(json.dumps([verdict(token) for token in given["tokens"]]))
"""


def previous_release(folder: Path) -> list[Path]:
    """Unpack the release before this one; return its import roots."""
    with zipfile.ZipFile(FROZEN) as archive:
        archive.extractall(folder)
    return [folder / "src", folder / "sdk" / "src"]


def published_by(roots: list[Path]) -> list[dict[str, Any]]:
    """Return the records of a sample user's life, as this release publishes them."""
    samples: list[dict[str, Any]] = _run(_PUBLISH, roots, "")
    return samples


def read_by(roots: list[Path], samples: list[dict[str, Any]]) -> list[Any]:
    """Return what the SDK of this release decodes."""
    read: list[Any] = _run(_READ, roots, json.dumps(samples))
    return read


def verified_by(roots: list[Path], given: dict[str, Any]) -> list[str]:
    """Return whose tokens these are, or why they are refused, to the SDK of this release."""
    verdicts: list[str] = _run(_VERIFY, roots, json.dumps(given))
    return verdicts


def _run(program: str, roots: list[Path], given: str) -> Any:
    path = os.pathsep.join([*map(str, roots), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": path},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
