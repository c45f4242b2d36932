import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from anomalyze_auth import JwksKeys, KeysUnavailable, Reason, SessionVerifier, TokenRejected
from sdktest.jwks_server import JwksServer, body
from sdktest.tokens import (
    ISSUER,
    KID,
    NOW,
    base64url,
    ec_private_key,
    header,
    jwk,
    private_key,
    signed,
    unsigned,
)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(jwks_server: JwksServer, clock: Clock) -> AsyncIterator[JwksKeys]:
    jwks_server.answer_keys(jwk())
    keys = JwksKeys(
        jwks_server.url,
        fresh_for=300,
        stale_for=3600,
        cooldown=30,
        retry_every=2,
        timeout=1.0,
        clock=clock,
    )
    yield keys
    await keys.aclose()


@pytest.fixture
def verifier(keys: JwksKeys) -> SessionVerifier:
    return SessionVerifier(keys, issuer=ISSUER, now=lambda: float(NOW))


def signed_by(name: str, kid: str) -> str:
    return signed(protected=header(kid=kid), key=name)


async def verdict(verifier: SessionVerifier, token: str) -> str:
    try:
        await verifier.verify(token)
    except TokenRejected as rejected:
        return rejected.reason
    except KeysUnavailable:
        return "unavailable"
    return "accepted"


async def settled(keys: JwksKeys, fetches: int) -> None:
    """Wait until this many fetches are over, those in the background included."""
    async with asyncio.timeout(5):
        while keys.state.fetches < fetches or keys._fetch is not None:
            await asyncio.sleep(0.005)


async def test_many_first_requests_share_one_fetch(verifier, jwks_server):
    verdicts = await asyncio.gather(*(verdict(verifier, signed()) for _ in range(50)))

    assert set(verdicts) == {"accepted"}
    assert jwks_server.requests == 1


async def test_once_fetched_the_key_is_at_hand_without_waiting(verifier, keys, jwks_server):
    with pytest.raises(KeysUnavailable):
        verifier.verify_now(signed())
    await keys.refresh()

    assert verifier.verify_now(signed()).user_id == "user_2abcDEFghi"
    assert jwks_server.requests == 1


async def test_tokens_that_their_form_or_header_rules_out_never_cause_a_fetch(verifier, jwks_server):
    bad = [
        "garbage",
        "a.b.c",
        f"{unsigned(protected=header(alg='none'))}.",
        f"{unsigned(protected=header(alg='HS256'))}.AAAA",
        signed(protected=header(typ="at+jwt")),
        signed(protected=header(cat="cl_B7d4PD222AAA")),
        signed(protected=header(crit=["x"])),
        signed(protected=header(kid=...)),
        "x" * 50_000,
    ]
    verdicts = [await verdict(verifier, token) for token in bad for _ in range(5)]

    assert "accepted" not in verdicts
    assert "unavailable" not in verdicts
    assert jwks_server.requests == 0


async def test_a_rotated_key_is_found_without_a_restart_and_the_old_one_is_gone(verifier, jwks_server):
    assert await verdict(verifier, signed()) == "accepted"

    jwks_server.answer_keys(jwk("rotated", kid="ins_rotated"))

    assert await verdict(verifier, signed_by("rotated", "ins_rotated")) == "accepted"
    assert await verdict(verifier, signed()) == Reason.UNKNOWN_KEY
    assert jwks_server.requests == 2


async def test_a_flood_of_unknown_kids_fetches_once_per_cooldown(verifier, jwks_server, clock):
    assert await verdict(verifier, signed()) == "accepted"

    flood = [signed_by("stranger", f"ins_{number}") for number in range(40)]
    for _ in range(3):
        verdicts = await asyncio.gather(*(verdict(verifier, token) for token in flood))
        assert set(verdicts) == {Reason.UNKNOWN_KEY}
    assert jwks_server.requests == 2

    clock.seconds += 29.9
    await verdict(verifier, flood[0])
    assert jwks_server.requests == 2

    clock.seconds += 0.1
    await asyncio.gather(*(verdict(verifier, token) for token in flood))
    assert jwks_server.requests == 3
    assert await verdict(verifier, signed()) == "accepted"


async def test_an_unknown_kid_at_the_start_costs_one_fetch_not_two(verifier, jwks_server):
    assert await verdict(verifier, signed_by("stranger", "ins_x")) == Reason.UNKNOWN_KEY
    assert jwks_server.requests == 1


async def test_a_bad_signature_causes_no_fetch(verifier, jwks_server):
    assert await verdict(verifier, signed()) == "accepted"

    for _ in range(20):
        assert await verdict(verifier, signed_by("stranger", KID)) == Reason.TOKEN_INVALID_SIGNATURE
    assert jwks_server.requests == 1


async def test_keys_are_renewed_in_the_background_before_they_are_old(verifier, keys, jwks_server, clock):
    await verdict(verifier, signed())
    clock.seconds += 239
    await verdict(verifier, signed())
    assert jwks_server.requests == 1

    clock.seconds += 2
    assert await verdict(verifier, signed()) == "accepted"
    await settled(keys, 2)

    assert keys.state.age_seconds == 0
    assert jwks_server.requests == 2


async def test_a_key_that_was_withdrawn_while_nobody_asked_is_refused(verifier, jwks_server, clock):
    await verdict(verifier, signed())
    jwks_server.answer_keys(jwk("rotated", kid="ins_rotated"))

    clock.seconds += 301

    assert await verdict(verifier, signed()) == Reason.UNKNOWN_KEY


async def test_in_an_outage_the_old_keys_serve_for_a_bounded_time_and_then_nothing_is_decided(
    verifier, keys, jwks_server, clock
):
    await verdict(verifier, signed())
    jwks_server.answer = body(b"down", status=500)

    clock.seconds += 301
    assert await verdict(verifier, signed()) == "accepted"
    assert keys.state.last_error is not None
    assert "500" in keys.state.last_error
    assert await verdict(verifier, signed_by("stranger", "ins_new")) == "unavailable"

    clock.seconds += 3590
    assert await verdict(verifier, signed()) == "accepted"
    await settled(keys, 3)

    clock.seconds += 10
    assert not keys.state.usable
    assert await verdict(verifier, signed()) == "unavailable"


async def test_in_an_outage_fetches_are_paced_and_nobody_waits_for_them(verifier, keys, jwks_server, clock):
    await verdict(verifier, signed())
    jwks_server.answer = body(b"down", status=500)
    clock.seconds += 301
    await verdict(verifier, signed())
    assert jwks_server.requests == 2

    jwks_server.answer = lambda _: jwks_server.closing.wait(10)
    clock.seconds += 2
    async with asyncio.timeout(0.9):  # less than the fetch that hangs in the background
        for _ in range(20):
            assert await verdict(verifier, signed()) == "accepted"
            await asyncio.sleep(0)

    assert keys.state.fetches == 3


async def test_keys_come_back_by_themselves_after_an_outage(verifier, keys, jwks_server, clock):
    jwks_server.answer = body(b"down", status=503)
    assert await verdict(verifier, signed()) == "unavailable"
    assert await verdict(verifier, signed()) == "unavailable"
    assert jwks_server.requests == 1

    jwks_server.answer_keys(jwk())
    clock.seconds += 2

    assert await verdict(verifier, signed()) == "accepted"
    assert keys.state.last_error is None
    assert (keys.state.fetches, keys.state.failures) == (2, 1)


async def test_a_failed_search_for_a_kid_is_no_verdict_on_the_token(verifier, jwks_server):
    await verdict(verifier, signed())
    jwks_server.answer = body(b"down", status=500)

    assert await verdict(verifier, signed_by("rotated", "ins_rotated")) == "unavailable"
    assert await verdict(verifier, signed()) == "accepted"


async def test_a_caller_who_leaves_does_not_end_the_fetch_of_the_others(verifier, jwks_server):
    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    good = jwks_server.answer

    def held(request: BaseHTTPRequestHandler) -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(5)
        good(request)

    jwks_server.answer = held
    leaver, stayer = (asyncio.create_task(verdict(verifier, signed())) for _ in range(2))
    await asyncio.sleep(0.05)
    leaver.cancel()
    release.set()

    assert await stayer == "accepted"
    assert leaver.cancelled()
    assert jwks_server.requests == 1


async def test_closing_in_the_middle_of_a_fetch_leaves_nobody_hanging(verifier, keys, jwks_server):
    jwks_server.answer = lambda _: jwks_server.closing.wait(10)
    waiting = asyncio.create_task(verdict(verifier, signed()))
    await asyncio.sleep(0.05)

    await keys.aclose()

    assert await waiting == "unavailable"


async def test_the_headers_of_the_backend_api_are_sent_and_nothing_packed_is_asked_for(jwks_server):
    jwks_server.answer_keys(jwk())
    keys = JwksKeys(jwks_server.url, headers={"Authorization": "Bearer sk_test_1"})
    await keys.refresh()
    await keys.aclose()

    (sent,) = jwks_server.headers
    sent = {name.lower(): value for name, value in sent.items()}
    assert sent["authorization"] == "Bearer sk_test_1"
    assert sent["accept-encoding"] == "identity"


async def test_a_client_of_ones_own_is_used_and_closed(jwks_server):
    jwks_server.answer_keys(jwk())
    made: list[httpx.AsyncClient] = []

    def factory() -> httpx.AsyncClient:
        made.append(httpx.AsyncClient(headers={"User-Agent": "ours"}))
        return made[-1]

    keys = JwksKeys(jwks_server.url, client=factory)
    await keys.refresh()
    await keys.refresh()
    await keys.aclose()

    assert len(made) == 1
    assert made[0].is_closed
    assert {sent["User-Agent"] for sent in jwks_server.headers} == {"ours"}


async def test_a_server_that_is_not_there_is_a_fault_and_no_verdict(verifier):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        keys = JwksKeys(f"http://127.0.0.1:{taken.getsockname()[1]}/", timeout=1)
        lonely = SessionVerifier(keys, issuer=None, now=lambda: float(NOW))

        assert await verdict(lonely, signed()) == "unavailable"
        assert keys.state.last_error is not None
        assert keys.state.last_error.startswith("ConnectError")
        await keys.aclose()


async def test_an_address_that_is_none_is_a_fault_and_no_verdict():
    keys = JwksKeys("ftp://example.invalid/jwks")
    state = await keys.refresh()
    await keys.aclose()

    assert not state.usable
    assert state.last_error is not None


def an_ec_key() -> dict[str, str]:
    numbers = ec_private_key().public_key().public_numbers()
    x, y = (base64url(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "kid": KID, "alg": "ES256", "use": "sig", "x": x, "y": y}


def a_private_key() -> dict[str, str]:
    secret = private_key().private_numbers().d
    return jwk(d=base64url(secret.to_bytes(256, "big")))


USELESS_ENTRIES = {
    "an EC key": an_ec_key(),
    "a secret": {"kty": "oct", "kid": KID, "k": base64url(b"x" * 32), "alg": "HS256"},
    "a key for encryption": jwk(use="enc"),
    "a key for another algorithm": jwk(alg="RS512"),
    "a key without verify": jwk(key_ops=["encrypt"]),
    "operations that are no list": jwk(key_ops="verify"),
    "a private key": a_private_key(),
    "a weak key": jwk("weak", bits=1024),
    "an exponent of 1": jwk(e="AQ"),
    "an exponent of 3": jwk(e="Aw"),
    "an even exponent": jwk(e="AQAA"),
    "a huge exponent": jwk(e="A" * 400),
    "a huge modulus": jwk(n="A" * 100_000),
    "a modulus that is no number": jwk(n="!!!"),
    "a modulus of zero": jwk(n="AA"),
    "a modulus that is a number": jwk(n=12345),
    "no modulus": {"kty": "RSA", "kid": KID, "e": "AQAB"},
    "no kid": {name: value for name, value in jwk().items() if name != "kid"},
    "a kid that is a number": jwk(kid=7),
    "an empty kid": jwk(kid=""),
    "no object": "key",
    "null": None,
}


@pytest.mark.parametrize("entry", USELESS_ENTRIES.values(), ids=USELESS_ENTRIES.keys())
async def test_an_entry_that_is_no_rs256_key_is_never_used_and_does_not_spoil_its_neighbours(
    entry, verifier, keys, jwks_server
):
    jwks_server.answer_keys(entry)
    assert await verdict(verifier, signed()) == "unavailable"
    assert not keys.state.usable

    jwks_server.answer_keys(entry, jwk("good", kid="ins_good"))
    state = await keys.refresh()

    assert await verdict(verifier, signed_by("good", "ins_good")) == "accepted"
    assert await verdict(verifier, signed()) != "accepted"
    assert (state.keys, state.ignored) == (1, 1)


def cut_off(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "5000")
    request.end_headers()
    request.wfile.write(b'{"keys": [')


def no_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")


KEY_SET = json.dumps({"keys": [jwk()]}).encode()
BAD_ANSWERS = {
    "an error": body(KEY_SET, status=500),
    "not found": body(KEY_SET, status=404),
    "no content": body(b"", status=204),
    "a redirect": body(KEY_SET, status=302, Location="/elsewhere"),
    "HTML": body(b"<!doctype html><title>Maintenance</title>", Content_Type="text/html"),
    "nothing": body(b""),
    "a list": body(json.dumps([jwk()]).encode()),
    "no keys member": body(b"{}"),
    "keys null": body(b'{"keys": null}'),
    "keys an object": body(json.dumps({"keys": jwk()}).encode()),
    "no key": body(b'{"keys": []}'),
    "keys twice": body(b'{"keys": [], "keys": [' + json.dumps(jwk()).encode() + b"]}"),
    "not UTF-8": body(b'{"keys": ["\xff"]}'),
    "nested too deep": body(b'{"keys": ' + b"[" * 100_000),
    "too large": body(KEY_SET[:-1] + b" " * 300_000 + b"}"),
    "packed": body(gzip.compress(KEY_SET), Content_Encoding="gzip"),
    "a packed bomb": body(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"),
    "two keys with one kid": body(json.dumps({"keys": [jwk(), jwk("stranger")]}).encode()),
    "cut off": cut_off,
    "no HTTP": no_http,
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_a_bad_answer_is_a_fault_with_a_reason_and_the_keys_at_hand_stay(
    answer, verifier, keys, jwks_server, clock
):
    good = jwks_server.answer
    jwks_server.answer = answer
    assert await verdict(verifier, signed()) == "unavailable"
    assert await verdict(verifier, signed_by("stranger", KID)) == "unavailable"
    assert not keys.state.usable
    assert keys.state.last_error

    jwks_server.answer = good
    clock.seconds += 2
    assert await verdict(verifier, signed()) == "accepted"

    jwks_server.answer = answer
    clock.seconds += 301
    assert await verdict(verifier, signed()) == "accepted"
    assert await verdict(verifier, signed_by("stranger", KID)) == Reason.TOKEN_INVALID_SIGNATURE
    assert keys.state.usable
    assert keys.state.last_error


async def test_an_answer_in_drips_is_given_up_after_the_timeout(jwks_server):
    def drips(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not jwks_server.closing.wait(0.02):
            request.wfile.write(b" ")

    jwks_server.answer = drips
    keys = JwksKeys(jwks_server.url, timeout=0.3)
    state = await keys.refresh()
    await keys.aclose()

    assert state.last_error == "no complete answer within 0.3 s"


async def test_the_same_key_twice_is_one_key(verifier, keys, jwks_server):
    jwks_server.answer_keys(jwk(), jwk())

    assert await verdict(verifier, signed()) == "accepted"
    assert keys.state.keys == 1
