"""Which kept fields of two profiles differ."""

import copy

from domain.snapshot import changed_fields
from domain.user import EmailAddress
from support.users import profile

ADDRESS = EmailAddress(id="idn_1", email="ada@example.org", verified=True, status="verified")


def test_equal_values_in_other_objects_do_not_differ():
    before = profile(first_name="Ada, Countess", emails=(ADDRESS,), public_metadata={"plan": {"seats": 3}})
    after = copy.deepcopy(before)
    object.__setattr__(after, "first_name", before.first_name.lower().title())

    assert after.first_name is not before.first_name
    assert after.public_metadata is not before.public_metadata
    assert changed_fields(before, after) == ()


def test_metadata_that_python_takes_for_equal_and_json_does_not_differs():
    for one, other in ((1, True), (1, 1.0), (0, False)):
        before, after = (profile(public_metadata={"plan": {"seats": value}}) for value in (one, other))

        assert before.public_metadata == after.public_metadata
        assert changed_fields(before, after) == ("public_metadata",)


def test_every_field_that_differs_is_named_in_the_order_of_the_profile():
    assert changed_fields(profile(), profile(banned=True, first_name="Grace", public_metadata={"plan": "pro"})) == (
        "first_name",
        "public_metadata",
        "banned",
    )
