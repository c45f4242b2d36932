"""This release and the one before it understand each other, shown with what each really makes."""

import pytest

from devkit.conformance.token_vectors import ACCEPTED, Signer, new_key, public_pem, vectors
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


def test_the_session_tokens_of_today_were_valid_for_the_release_before_and_still_are(previous):
    signer = Signer(key=new_key(), kid="ins_1", issuer=ISSUER, party=PARTY)
    plain = [vector for vector in vectors() if vector.token_class == "session tokens"]
    tokens = [signer.token(vector, NOW) for vector in plain]
    given = {"pem": public_pem(signer.key), "issuer": ISSUER, "party": PARTY, "now": NOW, "tokens": tokens}

    assert all(vector.expected == ACCEPTED for vector in plain)
    assert all(user.startswith("user_") for user in verified_by(TODAY, given))
    assert verified_by(previous, given) == verified_by(TODAY, given)
