"""Whatever a key set's address answers, no wrong key is used and the state is clear."""

import gzip
import json
import socket
import zlib
from http.server import BaseHTTPRequestHandler

import pytest

from anomalyze_auth import JwksKeys, Reason, SessionVerifier
from sdktest.jwks_server import body
from sdktest.tokens import (
    KID,
    NOW,
    base64url,
    ec_private_key,
    jwk,
    private_key,
    signed,
)
from sdktest.verdicts import signed_by, verdict


async def test_a_server_that_is_not_there_is_a_fault_and_no_verdict(verifier):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        keys = JwksKeys(f"http://127.0.0.1:{taken.getsockname()[1]}/", timeout=1)
        lonely = SessionVerifier(keys, issuer=None, now=lambda: float(NOW))

        assert await verdict(lonely, signed()) == "unavailable"
        assert keys.state.last_error is not None
        assert keys.state.last_error.startswith("ConnectError")
        await keys.aclose()


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
    "an even exponent": jwk(e="AQAC"),
    "a huge exponent": jwk(e="A" * 400),
    "a huge modulus": jwk(n="A" * 100_000),
    "a modulus that is no number": jwk(n="!!!"),
    "a modulus with a blank": jwk(n=" ".join((jwk()["n"][:9], jwk()["n"][9:]))),
    "a modulus of zero": jwk(n="AA"),
    "a modulus that is a number": jwk(n=12345),
    "no modulus": {"kty": "RSA", "kid": KID, "e": "AQAB"},
    "no kid": {name: value for name, value in jwk().items() if name != "kid"},
    "a kid that is a number": {**jwk(), "kid": 7},
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


def bomb() -> bytes:
    packer = zlib.compressobj(wbits=31, strategy=zlib.Z_RLE)  # as small as without, in a third of the time
    return packer.compress(b" " * 50_000_000) + packer.flush()


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
    "a packed bomb": body(bomb(), Content_Encoding="gzip"),
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
