"""Rules and shapes that the service and the SDKs each state, because neither may import the other."""

import re

import attrs

from anomalyze_auth import _fields, events, identity
from application.users.representation import EmailDocument, ProfileDocument
from domain import session, user
from support.documentation import ROOT


def test_a_user_id_is_the_same_in_a_session_token_as_everywhere_else():
    assert (identity.USER_ID.pattern, identity.USER_ID.flags) == (user.USER_ID.pattern, user.USER_ID.flags)


def test_every_session_that_a_token_can_name_can_be_revoked():
    assert session.SESSION_ID.pattern == _fields._IDENTIFIER.pattern


def test_the_python_sdk_reads_every_published_field_and_no_other():
    profile, email = attrs.fields_dict(events.Profile), attrs.fields_dict(events.Email)

    assert list(profile) == list(ProfileDocument.__annotations__), "sdk/src/anomalyze_auth/events.py: Profile"
    assert list(email) == list(EmailDocument.__annotations__), "sdk/src/anomalyze_auth/events.py: Email"


def test_a_field_that_older_events_do_not_have_has_a_default_in_the_python_sdk():
    required = {field.name for field in attrs.fields(events.Profile) if field.default is attrs.NOTHING}

    assert required == {"id", "version"}


def test_the_typescript_sdk_reads_every_published_field_and_no_other():
    source = (ROOT / "sdk-typescript/src/events.ts").read_text("utf-8")
    reader = source[source.index("const profile: Profile = {") : source.index("return { userId: profile.id")]
    nested = reader[reader.index("emails: ") : reader.index("})),")]
    top = re.findall(r"^    (\w+):", reader, re.MULTILINE)

    assert top == list(ProfileDocument.__annotations__), "sdk-typescript/src/events.ts: profileIn"
    assert re.findall(r"^      (\w+):", nested, re.MULTILINE) == list(EmailDocument.__annotations__)


def test_the_types_of_the_typescript_sdk_are_generated_from_the_published_fields():
    generated = (ROOT / "sdk-typescript/src/generated/events.ts").read_text("utf-8")
    profiles = re.findall(r"^export interface ProfileDocument \{\n(.*?)^\}", generated, re.DOTALL | re.MULTILINE)

    assert profiles
    for profile in profiles:
        fields = re.findall(r"^  (\w+)\??:", profile, re.MULTILINE)
        assert sorted(fields) == sorted(ProfileDocument.__annotations__), "run `npm run generate` in sdk-typescript/"
