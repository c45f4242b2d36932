import base64
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from adapters.clerk.webhooks import MAX_SIGNATURES_LENGTH, ClerkWebhooks
from application.errors import ForgedWebhookError
from application.users.signing_key import parse_signing_key
from devkit.fake_clerk.signing import sign_webhook
from support.clerk_payloads import OTHER_SECRET, SECRET, deleted_payload, encoded, event, signed

BODY = encoded(event("user.deleted", deleted_payload("user_1")))
WEBHOOKS = ClerkWebhooks([parse_signing_key(SECRET)])
SENT_S = 1_790_000_000

# An HMAC of the right form that fits nothing.
WRONG = "v1," + base64.b64encode(bytes(32)).decode()


def accepted(headers: dict[str, str], body: bytes = BODY, webhooks: ClerkWebhooks = WEBHOOKS) -> bool:
    try:
        return webhooks.read(headers, body) is not None
    except ForgedWebhookError:
        return False


def with_signature(value: str) -> dict[str, str]:
    """Signed now; `{}` in `value` is the valid signature."""
    headers = signed(SECRET, BODY)
    return headers | {"svix-signature": value.replace("{}", headers["svix-signature"])}


@pytest.fixture
def clock(monkeypatch):
    """Set the clock to a second (and a fraction)."""

    def set_clock(seconds: float) -> None:
        monkeypatch.setattr("adapters.clerk.webhooks.time", SimpleNamespace(time=lambda: seconds))

    return set_clock


def test_a_signed_webhook_is_genuine():
    assert accepted(signed(SECRET, BODY))


def test_signing_matches_the_published_test_vector():
    # svix-webhooks, python/tests/test_webhooks.py, test_sign_function
    headers = sign_webhook(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')

    assert headers == {
        "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "svix-timestamp": "1614265330",
        "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_signed_timestamp_is_the_second_given_whatever_the_local_zone(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        headers = sign_webhook(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    finally:
        monkeypatch.undo()
        time.tzset()

    assert headers["svix-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_names_of_the_standard_are_read_as_well():
    headers = {name.replace("svix-", "webhook-"): value for name, value in signed(SECRET, BODY).items()}

    assert accepted(headers)


def test_the_branded_names_win_over_those_of_the_standard():
    genuine = signed(SECRET, BODY)
    forged = {name.replace("svix-", "webhook-"): "1" for name in genuine}

    assert accepted(genuine | forged)


def test_other_headers_do_not_matter():
    assert accepted({"host": "x", "svix-other": "\xff", "": ""} | signed(SECRET, BODY))


@each_row("name", ["svix-id", "svix-timestamp", "svix-signature"])
@each_row("value", [None, "", " ", "\0", "é", "１", "x" * 100_000, "1" * 100_000])  # noqa: RUF001
def test_without_one_of_its_headers_a_webhook_is_forged(name, value):
    headers = signed(SECRET, BODY)
    if value is None:
        del headers[name]
    else:
        headers[name] = value

    assert not accepted(headers)


def test_a_changed_byte_anywhere_is_forged():
    headers = signed(SECRET, BODY)

    assert not any(
        accepted(headers, BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]) for at in range(0, len(BODY), 7)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("svix-id", "msg_other"), ("svix-timestamp", str(int(time.time()) - 5)), ("svix-id", "msg_1 ")],
    ids=["id", "timestamp", "space"],
)
def test_a_header_that_was_not_signed_is_forged(name, value):
    assert not accepted(signed(SECRET, BODY, msg_id="msg_1") | {name: value})


def test_a_signature_by_another_secret_is_forged():
    assert not accepted(signed(OTHER_SECRET, BODY))


def test_while_rotating_either_secret_is_genuine():
    webhooks = ClerkWebhooks([parse_signing_key(SECRET), parse_signing_key(OTHER_SECRET)])

    assert accepted(signed(SECRET, BODY), webhooks=webhooks)
    assert accepted(signed(OTHER_SECRET, BODY), webhooks=webhooks)


def test_while_svix_rotates_both_signatures_come_in_one_header():
    mine = signed(SECRET, BODY, msg_id="msg_1")
    new = signed(OTHER_SECRET, BODY, msg_id="msg_1", timestamp=int(mine["svix-timestamp"]))
    both = mine | {"svix-signature": f"{new['svix-signature']} {mine['svix-signature']}"}

    assert accepted(both)
    assert accepted(both, webhooks=ClerkWebhooks([parse_signing_key(OTHER_SECRET)]))


@each_row(
    "value",
    [
        "{} v1,abc",
        "v1,abc {}",
        "abc {}",
        "v1 {}",
        ", {}",
        "v1,a,b {}",
        "v1,é {}",
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg== {}",
        "v2,{} {}",
        "  {}  ",
        "{}\t{}",
        f"{WRONG} {{}}",
        f"{WRONG}, {{}}",  # a repeated header as proxies join it
        f"{WRONG},{{}}",
        " ".join([WRONG] * 80) + " {}",
    ],
)
def test_nothing_in_the_header_hides_a_valid_signature(value):
    assert accepted(with_signature(value))


@each_row(
    "value",
    [
        "v1,",
        "v1",
        ",",
        "v1,====",
        WRONG,
        "{}x",
        "x{}",
        "V1{}",
        "v1,v1",
        "v1 ,",
        " ".join([WRONG] * (MAX_SIGNATURES_LENGTH // 48 + 1)) + " {}",
    ],
)
def test_a_header_without_a_valid_signature_is_forged(value):
    assert not accepted(with_signature(value))


def test_a_cut_signature_is_forged():
    signature = signed(SECRET, BODY)["svix-signature"]

    assert not any(accepted(with_signature(signature[:length])) for length in range(len(signature)))


@pytest.mark.parametrize("age_s", [-300, -299, 0, 299, 300])
def test_five_minutes_either_way_are_allowed(clock, age_s):
    clock(SENT_S + age_s)

    assert accepted(signed(SECRET, BODY, timestamp=SENT_S))


@pytest.mark.parametrize("age_s", [-301, -300.001, 300.001, 301, 86_400])
def test_beyond_five_minutes_it_is_a_replay(clock, age_s):
    clock(SENT_S + age_s)

    assert not accepted(signed(SECRET, BODY, timestamp=SENT_S))


@each_row(
    "form", ["{}.0", "{}.9", "+{}", " {}", "{} ", "{}\n", "0{}", "{}e0", "1_{}", "{}_0", "-{}", "0x{}", "nan", "inf"]
)
def test_a_timestamp_is_digits_and_nothing_else(form):
    # svix signs the whole seconds it reads, so each of these would pass with the signature of the plain number.
    headers = signed(SECRET, BODY)
    headers["svix-timestamp"] = form.replace("{}", headers["svix-timestamp"])

    assert not accepted(headers)


def test_a_timestamp_in_the_digits_of_another_script_is_forged():
    headers = signed(SECRET, BODY)
    arabic_indic = headers["svix-timestamp"].translate({ord("0") + digit: 0x660 + digit for digit in range(10)})

    assert int(arabic_indic) == int(headers["svix-timestamp"])
    assert not accepted(headers | {"svix-timestamp": arabic_indic})


def test_a_timestamp_with_underscores_is_forged():
    headers = signed(SECRET, BODY)
    grouped = f"{int(headers['svix-timestamp']):_}"

    assert float(grouped) == float(headers["svix-timestamp"])
    assert not accepted(headers | {"svix-timestamp": grouped})


@pytest.mark.parametrize("timestamp", ["0", "1", "999999999999", "9" * 400])
def test_a_timestamp_outside_any_calendar_is_forged(timestamp):
    assert not accepted(signed(SECRET, BODY) | {"svix-timestamp": timestamp})


def test_an_id_with_a_dot_is_forged_as_its_signature_would_fit_several_splits():
    assert not accepted(signed(SECRET, BODY, msg_id="msg_1.2"))


def test_a_signature_does_not_fit_another_split_of_what_was_signed():
    now = int(time.time())
    headers = signed(SECRET, f"{now}.".encode() + BODY, msg_id="msg_1", timestamp=now)

    assert not accepted(headers | {"svix-id": f"msg_1.{now}"}, BODY)


def test_a_body_that_is_not_utf_8_was_never_signed():
    assert not accepted(signed(SECRET, BODY), b"\xff")


def test_what_is_wrong_with_the_signature_is_told_before_what_is_wrong_with_the_body():
    with pytest.raises(ForgedWebhookError):
        WEBHOOKS.read({}, b"not json")


def test_the_message_says_what_an_operator_can_act_on(clock):
    clock(SENT_S + 600)

    with pytest.raises(ForgedWebhookError, match="too old"):
        WEBHOOKS.read(signed(SECRET, BODY, timestamp=SENT_S), BODY)


header_names = st.sampled_from(
    ["svix-id", "svix-timestamp", "svix-signature", "webhook-id", "webhook-timestamp", "webhook-signature"]
)
header_values = st.one_of(
    st.text(),
    st.from_regex(r"(v1a?,[A-Za-z0-9+/=]*[ ,])*", fullmatch=True),
    st.integers().map(str),
    st.floats().map(str),
    st.just(WRONG),
    st.just(str(int(time.time()))),
    st.just("msg_1"),
)


@given(st.dictionaries(st.one_of(header_names, st.text()), header_values), st.binary())
def test_whatever_arrives_unsigned_is_forged_and_nothing_else(headers, body):
    with pytest.raises(ForgedWebhookError):
        WEBHOOKS.read(headers, body)


@given(header_names, header_values)
def test_one_replaced_header_makes_a_genuine_webhook_forged_and_an_added_one_does_not(name, value):
    headers = signed(SECRET, BODY)

    assert accepted(headers | {name: value}) == (name.startswith("webhook-") or value == headers[name])


@given(st.binary(min_size=24, max_size=64), st.booleans())
def test_any_key_of_24_to_64_bytes_signs_and_verifies(key, padded):
    encoded_key = base64.b64encode(key).decode()
    secret = "whsec_" + (encoded_key if padded else encoded_key.rstrip("="))

    assert accepted(signed(secret, BODY), webhooks=ClerkWebhooks([parse_signing_key(secret)]))


@each_row(
    ("secret", "message"),
    [
        ("", "starts with whsec_"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "starts with whsec_"),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "use the signing secret"),
        ("whsec_", "24 to 64 bytes, not 0"),
        ("whsec_abcd", "24 to 64 bytes, not 3"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "24 to 64 bytes, not 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "24 to 64 bytes, not 65"),
        ("whsec_!!!!MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwé", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA", "not base64"),
        (" whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "starts with whsec_"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_at_once_and_not_repeated(secret, message):
    with pytest.raises(ValueError, match=message) as refused:
        parse_signing_key(secret)

    key = secret.partition("_")[2]
    assert not key or key not in str(refused.value)


def test_without_any_secret_every_delivery_is_refused():
    assert not accepted(signed(SECRET, BODY), webhooks=ClerkWebhooks([]))


def test_a_secret_is_not_in_a_repr():
    assert SECRET.removeprefix("whsec_") not in repr(WEBHOOKS) + repr(vars(WEBHOOKS))
