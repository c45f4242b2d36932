"""`auth-service conformance tokens` against real servers: one that is right, and one with three planted faults."""

import json
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from anomalyze_auth import PemKey, Reason, SessionVerifier, TokenRejected, bearer_token
from devkit.conformance.token_vectors import ACCEPTED, Signer, Vector, vectors
from devkit.conformance.tokens import Answer, judged
from devkit.local.keys import new_keys, public_half
from entrypoints.cli.main import main

ISSUER, PARTY = "https://clerk.example.com", "https://app.example.com"
Decide = Callable[[str], int]


@contextmanager
def service(decide: Decide) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            raw = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
            token = bearer_token(raw)
            self.send_response(401 if token is None else decide(token))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "key.pem"
    file.write_text(new_keys().private_key)
    return file


def verdict(key: Path, token: str) -> Reason | None:
    found = rejection(key, token)
    return None if found is None else found.reason


@cache
def verifier(key: Path, leeway: float) -> SessionVerifier:
    pem = PemKey(public_half(key.read_text()))
    return SessionVerifier(pem, issuer=ISSUER, authorized_parties=[PARTY], leeway=leeway)


def rejection(key: Path, token: str, leeway: float = 5) -> TokenRejected | None:
    try:
        verifier(key, leeway).verify_now(token)
    except TokenRejected as rejected:
        return rejected
    return None


def conformance(url: str, key: Path, capsys) -> tuple[object, dict[str, Any]]:
    options = ["--key", str(key), "--issuer", ISSUER, "--azp", PARTY, "--json"]
    with pytest.raises(SystemExit) as stop:
        main(["conformance", "tokens", url, *options])
    shown = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, json.loads(shown.out) if shown.out else {"error": shown.err}


def test_a_service_that_decides_as_the_sdk_is_clean(key: Path, capsys):
    with service(lambda token: 401 if verdict(key, token) else 200) as url:
        status, found = conformance(url, key, capsys)

    assert status == 0
    assert found["keys"].startswith("one key")
    assert found["sent"] > 270
    assert found["not_sendable"] == ["a leading space", "a trailing newline", "a null character"]
    assert not any(found[kind] for kind in ("wrongly_accepted", "wrongly_refused", "answered_with_5xx", "not_answered"))


def test_three_planted_faults_are_named_and_nothing_else(key: Path, capsys):
    def decide(token: str) -> int:
        reason = verdict(key, token)
        if reason == Reason.SESSION_PENDING:
            return 200  # it forgot that claim
        if reason is None and len(token) > 8000:
            return 401  # its limit is too low
        if reason == Reason.TOKEN_TOO_LARGE:
            return 500
        return 401 if reason else 200

    with service(decide) as url:
        status, found = conformance(url, key, capsys)

    assert status == 1
    assert found["wrongly_accepted"] == {"session status (sts)": ["sts pending"]}
    assert found["wrongly_refused"] == {"custom claims": ["a long but permitted token"]}
    assert found["answered_with_5xx"].keys() == {"size"}
    assert found["not_answered"] == {}


def test_unusual_faults_are_named_and_nothing_else(key: Path, capsys):
    def decide(token: str) -> int:
        if not token.isascii():
            return 502  # the server behind it cannot read such a header
        rejected = rejection(key, token)
        if rejected is None:
            return 200
        if "nbf" in rejected.description:
            return 200  # it does not look at nbf at all
        if rejected.reason == Reason.WRONG_TOKEN_TYPE and header_of(token).get("cat") == "cl_B7d4PD222AAA":
            return 200 if "sid" in json_of(token.split(".")[1]) else 401  # it takes JWT templates for sessions
        return 401

    with service(decide) as url:
        status, found = conformance(url, key, capsys)

    assert status == 1
    assert found["wrongly_accepted"].keys() == {"not active yet (nbf)", "token category (cat)"}
    assert found["wrongly_accepted"]["token category (cat)"] == ["JWT template with a sid"]
    assert found["wrongly_refused"] == {}
    assert found["answered_with_5xx"] == {"bytes beyond ASCII": ["non-ASCII text", "full-width letters"]}
    assert found["not_answered"] == {}


def test_unusual_faults_of_another_kind_are_named_and_nothing_else(key: Path, capsys):
    def decide(token: str) -> int:
        rejected = rejection(key, token, leeway=60)  # a whole minute is too much
        header = header_of(token)
        if rejected is None:
            return 200 if header.get("typ") == "JWT" else 403  # typ may be left out
        if rejected.reason == Reason.UNSUPPORTED_HEADER and "crit" in header:
            return 500
        return 401

    with service(decide) as url:
        status, found = conformance(url, key, capsys)

    assert status == 1
    assert found["wrongly_accepted"].keys() == {"clock tolerance"}
    assert found["wrongly_refused"] == {"header members": ["typ absent"]}
    assert found["answered_with_5xx"].keys() == {"extensions (crit, b64)"}
    assert found["not_answered"] == {}


def seconds_since_expiry(token: str) -> float:
    expiry = json_of(token.split(".")[1]).get("exp") if token.count(".") == 2 else None
    return time.time() - expiry if type(expiry) is int and expiry > 0 else -60


def test_an_answer_in_a_later_second_than_its_token_is_not_judged_but_asked_for_again(key: Path, capsys):
    late: list[str] = []

    def decide(token: str) -> int:
        if 4 <= seconds_since_expiry(token) < 5 and not late:
            late.append(token)
            time.sleep(1)  # as on a busy machine
        return 401 if verdict(key, token) else 200

    with service(decide) as url:
        status, found = conformance(url, key, capsys)

    assert len(late) == 1
    assert found["wrongly_refused"] == {}
    assert status == 0


def test_a_service_that_always_answers_in_a_later_second_is_not_judged(key: Path, capsys):
    def decide(token: str) -> int:
        if 4 <= seconds_since_expiry(token) < 10:
            time.sleep(1)
        return 401 if verdict(key, token) else 200

    with service(decide) as url:
        status, found = conformance(url, key, capsys)

    assert status == 78
    assert "its clock tolerance cannot be judged" in found["error"]


def signer_with(key: Path) -> Signer:
    private = load_pem_private_key(key.read_bytes(), password=None)
    assert isinstance(private, RSAPrivateKey)
    return Signer(key=private, kid="ins_1", issuer=ISSUER, party=PARTY)


def header_of(token: str) -> dict[str, Any]:
    return json_of(token.split(".", maxsplit=1)[0])


def json_of(segment: str) -> dict[str, Any]:
    try:
        value = json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@pytest.mark.parametrize(
    ("member", "classes"),
    [
        ("exp", {"expired"}),
        ("nbf", {"not active yet (nbf)"}),
        ("iat", {"issued in the future (iat)"}),
        ("sub", {"subject (sub)"}),
        ("sid", {"session (sid)"}),
        ("iss", {"issuer (iss)"}),
        ("azp", {"authorized party (azp)"}),
        ("sts", {"session status (sts)"}),
        ("fva", {"factor ages (fva)"}),
        ("act", {"actor (act)"}),
        ("o", {"organization"}),
        ("typ", {"token type (typ)"}),
        ("cat", {"token category (cat)"}),
        ("crit", {"extensions (crit, b64)"}),
        ("cty", {"nested tokens (cty)"}),
        ("alg", {"algorithm"}),
    ],
)
def test_a_service_that_does_not_look_at_a_member_shows_in_one_class(member: str, classes: set[str], key: Path):
    """It decides what the SDK decides of the same token without that change."""
    signer = signer_with(key)

    def blind(vector: Vector) -> int:
        recipe = dict(vector.recipe)
        for part in ("header", "claims"):
            if member in recipe.get(part, {}):
                recipe[part] = {name: value for name, value in recipe[part].items() if name != member}
        if f"members without {member}" in recipe.get("claims_text", "") and vector.expected != "token-malformed":
            del recipe["claims_text"]
        if recipe == vector.recipe or "signature" in recipe:
            return 200 if vector.expected == ACCEPTED else 401
        seen = Vector(vector.name, vector.token_class, "", None, frozenset(), recipe)
        return 401 if rejection(key, signer.token(seen, time.time())) else 200

    found = judged([Answer(vector, blind(vector)) for vector in vectors()])

    assert found.wrongly_accepted.keys() == classes
    assert [found.wrongly_refused, found.server_errors, found.unanswered] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("ignored", "classes"),
    [
        (Reason.AUTHORIZED_PARTY_MISMATCH, {"authorized party (azp)"}),
        (Reason.ISSUER_MISMATCH, {"issuer (iss)"}),
        (Reason.TOKEN_EXPIRED, {"expired"}),
        (Reason.TOKEN_ISSUED_IN_THE_FUTURE, {"issued in the future (iat)"}),
        (Reason.TOKEN_INVALID_SIGNATURE, {"signature"}),
        (Reason.TOKEN_NOT_ACTIVE_YET, {"not active yet (nbf)"}),
        (Reason.UNSUPPORTED_HEADER, {"extensions (crit, b64)", "nested tokens (cty)"}),
    ],
)
def test_a_check_that_is_missing_shows_in_its_own_class_alone(ignored: Reason, classes: set[str]):
    answers = [Answer(vector, 200 if vector.expected in (ACCEPTED, ignored) else 401) for vector in vectors()]

    found = judged(answers)

    assert found.wrongly_accepted.keys() == classes
    assert [found.wrongly_refused, found.server_errors, found.unanswered] == [{}, {}, {}]


@pytest.mark.parametrize(("answer", "said"), [(200, "it lets anybody in"), (403, "to a plain session token")])
def test_a_service_that_cannot_be_judged_is_sent_nothing_else(answer: int, said: str, key: Path, capsys):
    asked = []

    def decide(token: str) -> int:
        asked.append(token)
        return answer

    class Open(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Open)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    status, found = conformance(f"http://127.0.0.1:{server.server_port}/", key, capsys)
    server.shutdown()
    server.server_close()
    thread.join()

    assert status == 78
    assert said in found["error"]
    assert len(asked) <= 2


def test_a_service_that_does_not_run_is_out_of_reach(key: Path, capsys):
    status, found = conformance("http://127.0.0.1:9/", key, capsys)

    assert status == 69
    assert "cannot be reached" in found["error"]


def test_a_key_is_made_where_there_is_none_with_its_public_half_beside_it(tmp_path: Path, capsys):
    file = tmp_path / "new.pem"

    assert conformance("http://127.0.0.1:9/", file, capsys)[0] == 69
    assert file.stat().st_mode & 0o077 == 0
    assert (tmp_path / "new.pem.pub").read_text().strip() == public_half(file.read_text())
