"""This release and the one before it understand each other, shown with what each really makes."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from devkit.conformance.token_vectors import ACCEPTED, Signer, new_key, public_pem, vectors
from support.documentation import ROOT
from support.releases import TODAY, previous_release, published_by, read_by, verified_by

NOW = 1_800_000_000
ISSUER, PARTY = "https://clerk.example.com", "https://app.example.com"


@pytest.fixture(scope="module")
def previous(tmp_path_factory):
    return previous_release(tmp_path_factory.mktemp("previous"))


def test_each_release_reads_what_the_other_publishes_as_its_own(previous):
    of_today, of_previous = published_by(TODAY), published_by(previous)

    assert read_by(previous, of_today) == read_by(TODAY, of_today)
    assert read_by(TODAY, of_previous) == read_by(previous, of_previous)
    assert [event[0] for event in read_by(previous, of_today)] == [
        "UserCreated",
        "UserUpdated",
        "UserUpdated",
        "UserDeleted",
    ]


def test_the_schemas_of_today_require_nothing_that_the_release_before_did_not_publish(previous):
    for sample in published_by(previous):
        kind = dict(sample["headers"])["ce_type"]
        schema = json.loads((ROOT / f"docs/events/{kind}.schema.json").read_text("utf-8"))

        assert list(_missing(schema, schema, json.loads(base64.b64decode(sample["value"])))) == []


def _missing(schema: dict[str, Any], root: dict[str, Any], value: Any) -> Iterator[str]:
    """Yield each required field that the value does not have, at any depth."""
    if name := schema.get("$ref", "").removeprefix("#/$defs/"):
        schema = root["$defs"][name]
    if isinstance(value, dict):
        yield from (field for field in schema.get("required", ()) if field not in value)
        for field, inner in schema.get("properties", {}).items():
            yield from _missing(inner, root, value.get(field))
    elif isinstance(value, list):
        for each in value:
            yield from _missing(schema.get("items", {}), root, each)


def test_the_session_tokens_of_today_were_valid_for_the_release_before_and_still_are(previous):
    signer = Signer(key=new_key(), kid="ins_1", issuer=ISSUER, party=PARTY)
    plain = [vector for vector in vectors() if vector.token_class == "session tokens"]
    tokens = [signer.token(vector, NOW) for vector in plain]
    given = {"pem": public_pem(signer.key), "issuer": ISSUER, "party": PARTY, "now": NOW, "tokens": tokens}

    assert all(vector.expected == ACCEPTED for vector in plain)
    assert all(user.startswith("user_") for user in verified_by(TODAY, given))
    assert verified_by(previous, given) == verified_by(TODAY, given)
