import hashlib
import re

import pytest
from sdktest.rows import each_row

from entrypoints.config.service_keys import PREFIX, SCOPES, key_of, new_service_key, service_key


def test_a_new_key_is_known_by_what_is_configured_of_it_and_by_nothing_else():
    text, configured = new_service_key("billing")
    other, _ = new_service_key("billing")

    assert re.fullmatch(PREFIX + r"[A-Za-z0-9_-]{43}", text)
    assert service_key(str(configured)) == configured
    assert str(configured) == f"billing:{hashlib.sha256(text.encode()).hexdigest()}"
    assert text not in f"{configured} {configured!r}"
    assert key_of(text, [configured]) is configured
    for wrong in (other, text[:-1], text + " ", text.upper(), str(configured), configured.digest.hex(), "", "\ud800"):
        assert key_of(wrong, [configured]) is None
    assert key_of(text, []) is None


def test_while_rotating_each_key_is_known_by_its_own_name():
    old, configured_old = new_service_key("billing-1")
    new, configured_new = new_service_key("billing-2")
    keys = [configured_old, configured_new]

    assert (key_of(old, keys), key_of(new, keys)) == (configured_old, configured_new)


def test_every_key_is_compared_wherever_the_right_one_stands(monkeypatch):
    from entrypoints.config import service_keys  # noqa: PLC0415

    texts, keys = zip(*(new_service_key(f"service-{number}") for number in range(5)), strict=True)
    compared = []
    monkeypatch.setattr(service_keys, "compare_digest", lambda a, b: compared.append(a) or a == b)

    for text in (texts[0], texts[4], "ask_wrong"):
        compared.clear()
        key_of(text, keys)

        assert compared == [key.digest for key in keys]


@each_row(
    "text",
    [
        "",
        "billing",
        "billing:",
        ":" + "0" * 64,
        "billing:" + "0" * 63,
        "billing:" + "g" * 64,
        "-b:" + "0" * 64,
        "b b:" + "0" * 64,
        "b\n:" + "0" * 64,
        "ask_" + "x" * 43,
        "billing:ask_" + "x" * 43,
        "a:b:" + "0" * 64,
        "bïlling:" + "0" * 64,
        "b" * 65 + ":" + "0" * 64,
    ],
)
def test_what_is_no_name_and_hash_is_refused_without_repeating_it(text):
    with pytest.raises(ValueError, match="service-key new") as refused:
        service_key(text)

    assert not text or text not in str(refused.value)


@each_row("name", ["", "a b", "a,b", "a:b", "ä", "-x", "x" * 65])
def test_no_key_is_made_for_a_name_that_could_not_be_configured(name):
    with pytest.raises(ValueError, match="name:scopes:hash"):
        new_service_key(name)


@pytest.mark.parametrize(
    ("written", "may", "may_not"),
    [
        ("", SCOPES, []),
        ("*:", SCOPES, []),
        ("read:", ["read"], ["ban", "delete"]),
        ("read+ban:", ["read", "ban"], ["unban", "delete"]),
        ("ban+read+ban:", ["read", "ban"], ["unban", "delete"]),
        ("set-metadata+revoke-sessions:", ["set-metadata", "revoke-sessions"], ["read", "sync"]),
    ],
)
def test_a_key_may_do_what_its_scopes_say_and_everything_without_them(written, may, may_not):
    key = service_key(f"billing:{written}{'0' * 64}")

    assert [scope for scope in SCOPES if key.may(scope)] == [scope for scope in SCOPES if scope in may]
    assert not any(key.may(scope) for scope in may_not)
    assert service_key(str(key)) == key


@each_row("scopes", ["Read", "reads", "read+", "+read", "read,ban", "read ban", "read++ban", "**", "write"])
def test_a_scope_that_is_none_is_refused_and_not_ignored(scopes):
    with pytest.raises(ValueError, match=r"scope"):
        service_key(f"billing:{scopes}:{'0' * 64}")
