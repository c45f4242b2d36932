"""What the Python SDK decides about many inputs, as JSON: another SDK has to decide the same."""

import asyncio
import base64
import json
import random
import string
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from anomalyze_auth import (
    OPTIONAL,
    PUBLIC,
    REQUIRED,
    Access,
    Authenticated,
    KeysUnavailable,
    OriginRefused,
    PemKey,
    Refused,
    RequestVerifier,
    Requirement,
    SessionVerifier,
    TokenRejected,
    serialized_origin,
)
from anomalyze_auth.events import UnusableEvent, decode
from anomalyze_auth.paths import Rules
from anomalyze_auth.sessions import SessionRevoked, decode_session
from anomalyze_auth.state import decode_state
from devkit.conformance.consumer_vectors import record, table
from devkit.conformance.token_vectors import CLAIMS, HEADER, Signer, Vector, new_key, public_pem, vectors
from support.sdk_histories import encoded, history

NOW = 1_800_000_000
ISSUER, PARTY, KID, SUFFIX = "https://clerk.example.com", "https://app.example.com", "ins_2abcDEFghi", "abcdEF12"
_VALUES = (
    *("null", "true", "false", "0", "-0", "0.0", "1", "2", "2.0", "2e0", "-1", "1.5", "1e3", "1E400", "-1e400", "01"),
    *("9" * 400, "-" + "9" * 400, "9" * 4300, "9" * 4301, "1e-400", "NaN", "1800000060", "1800000060000"),
    *('""', '" "', '"x"', '"JWT"', '"active"', '"pending"', '"user_1"', '"user_é"', '"\\u0075ser_1"', '"\\ud800"'),
    *(
        '"\\ud83d\\ude80"',
        '"\\x"',
        '"\t"',
        '"a\\/b"',
        '"oat_1"',
        '"mch_1"',
        '"org:admin"',
        '"a,b"',
        '"' + "x" * 256 + '"',
    ),
    *(
        "[]",
        "{}",
        "[1,2]",
        "[1,2.0]",
        "[-1,-1]",
        "[1,null]",
        '["JWT"]',
        '{"id":"org_1"}',
        '{"id":"org_1","rol":"admin"}',
    ),
    *(
        '{"id":"org_1","per":"x,y","fpm":"3"}',
        '{"id":"org_1","per":"x,y","fpm":"1,2"}',
        '{"sub":"user_2"}',
        '{"sub":[]}',
    ),
    *('{"id":"org_1","per":"","fpm":""}', '{"a":1,"a":2}', '{"__proto__":{"x":1}}', "[" * 64 + "]" * 64, "[1,]", "{,}"),
    *('"o:a,u:b,ou:c"', '"o:a"', '{"id":"org_1","per":"x","fpm":"18446744073709551615"}', '"https://app.example.com"'),
)
_RULES: dict[str, Access | Requirement] = {
    "/": OPTIONAL,
    "/docs/*": PUBLIC,
    "/admin/*": Requirement(role="org:admin"),
    "/admin/billing/*": Requirement(permission="org:billing:read"),
    "/admin/health": PUBLIC,
    "/Straße": Requirement(in_person=True),
    "/café/*": Requirement(organization="org_1"),
}
_PIECES = (
    *(
        "docs",
        "admin",
        "billing",
        "health",
        "Straße",
        "café",
        "cafe\u0301",
        "STRASSE",
        "ADMIN",
        "Docs",
        "ﬁ",
        "\u0131",
        "I",
    ),
    *(
        "/",
        "/",
        "/",
        "//",
        ".",
        "..",
        "..;",
        ";v=1",
        "%2F",
        "%2f",
        "%2e",
        "%5c",
        "%00",
        "%64",
        "%zz",
        "%",
        "%25",
        "%C3%A9",
    ),
    *("%ff", "é", "\u2025", "\uff0f", "\uff41", "\\", " ", "%20", "x", "*", ":id", "#", "%23", "%3F", "~", "@", "+"),
    *("%u002e", "%61dmin", "\u00a0..", "%E2%80%A8", "\u03a3", "ς", "K", "%EE%80%80"),
)
_ORIGINS = (
    *("https://App.Example.com:443/", "http://127.1:3000", "https://bücher.example", "capacitor://LOCALHOST/", "null"),
    *(
        "chrome-extension://" + "a" * 32,
        "https://*.example.com",
        "https://%2a.example.com",
        "file:///x",
        "wss://a.b",
        "",
    ),
    *("app://[::0:1]:443", "https://a b.example", "https://a.example/path", "https://a@b.example", "https://1.2.3.4.5"),
    *("https://a.example:99999", "ionic://localhost:80", "app://.", "https://xn--a-ü.example", " https://a.example "),
    *("https://straße.example", "http://[2001:DB8::0001]", "http://0x7f000001", "https://a.example,https://b.example"),
)

_FIELDS = (
    *("id", "version", "email", "email_verified", "emails", "phone", "username", "first_name", "last_name"),
    *("image_url", "external_id", "public_metadata", "banned", "locked", "created_at", "updated_at"),
    *("deleted_at", "extra"),
)
_TIMES = (
    *("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", ""),
    *("2026-01-01t00:00:00z", "2026-02-30T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2026-01-01"),
    *("2026-01-01T24:00:00Z", "2026-01-01T23:59:60Z", "2026-01-01T00:60:00Z", "2026-13-01T00:00:00Z", "x"),
    *("2026-01-01T00:00:00+25:00", "2026-01-01T00:00:00+23:59", "2026-01-01T00:00:00+0100"),
    *("2026-01-01T00:00:00+01:60", "2026-01-01T00:00:00+01", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"),
    *("9999-12-31T23:59:59-01:00", "2026-01-01T00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z"),
    *("+2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z ", "2026-01-01T00:00:00-00:00", "\uff12026-01-01T00:00:00Z"),
)
_DATA = (
    *("null", "true", "1", "1.0", "1e0", "-1", "0", "-0.0", "9007199254740993", "9223372036854775808", "9" * 400),
    *('""', '"x"', '"\\ud800"', '"\\u0000"', '"\\ud83d\\ude00"', '"é"', "[]", "{}", '["a","a"]', '["a",1]', "01"),
    *('{"__proto__":{"x":1}}', '{"constructor":1}', '[{"id":"i","email":"e"}]', "[null]", "NaN", '"a\tb"', "[1,]"),
    *('[{"id":"i","email":"e","verified":null}]', '[{"id":"i"}]', '[{"id":"i","email":"e","status":null,"x":1}]'),
    *("1e400", '{"a":[-9e999]}', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}'),
    *("[" * 100 + "]" * 100, '{"a":' * 200 + "1" + "}" * 200, *(json.dumps(time) for time in _TIMES)),
)


def sdk_vectors(seed: int, count: int = 1500) -> dict[str, Any]:
    """Return inputs with the decisions of the Python SDK; `seed` makes them the same again."""
    dice = random.Random(seed)  # no secret
    signer = Signer(key=new_key(), kid=KID, issuer=ISSUER, party=PARTY)
    verifier = SessionVerifier(
        PemKey(public_pem(signer.key)), issuer=ISSUER, authorized_parties=[PARTY], now=lambda: float(NOW)
    )
    return {
        "settings": {"now": NOW, "issuer": ISSUER, "party": PARTY, "suffix": SUFFIX, "pem": public_pem(signer.key)},
        "jwks": {"keys": [signer.jwk]},
        "tokens": [
            {
                "name": each.name,
                "token": signer.token(each, NOW),
                "expected": each.expected,
                "with_jwks": each.with_jwks,
            }
            for each in vectors()
        ],
        "unseen_tokens": [
            {"name": vector.name, "token": token, **_decision(verifier, token)}
            for vector in _unseen(dice, count)
            for token in [signer.token(vector, NOW)]
        ],
        "requests": [_request(dice, signer, verifier) for _ in range(count // 5)],
        "paths": [{"target": target, "rule": _rule(target)} for target in sorted(_targets(dice, count))],
        "pems": [{"text": text, "accepted": _is_pem(text)} for text in _pems(public_pem(signer.key))],
        "origins": [{"text": text, "origin": _origin(text)} for text in (*_ORIGINS, *_odd_origins(dice, count // 5))],
        "sessions": [_session(dice) for _ in range(count // 3)],
        "states": [_state(dice) for _ in range(count // 3)],
        "records": [_record(row) for row in (*table()["records"], *_unseen_records(dice, count))],
        "histories": [asyncio.run(history(dice)) for _ in range(count // 20)],
    }


def _unseen(dice: random.Random, count: int) -> Iterator[Vector]:
    names = [*CLAIMS, "o", "fea", "act", "org_id", "org_role", "org_permissions", "client_id", "aud", "extra"]
    for number in range(count):
        where, known = dice.choice([("claims", names)] * 3 + [("header", [*HEADER, "crit", "b64", "cty", "x"])])
        name = dice.choice(known)
        usual = CLAIMS if where == "claims" else HEADER
        members = [
            f"{json.dumps(key)}:{json.dumps(value) if not str(value).startswith('<<now') else value}"
            for key, value in usual.items()
            if key != name
        ]
        members.insert(dice.randrange(len(members) + 1), f"{json.dumps(name)}:{dice.choice(_VALUES)}")
        if dice.random() < 0.1:
            members.append(dice.choice(members))
        if dice.random() < 0.2:
            members = [member for member in members if not member.startswith(dice.choice(('"v"', '"sid"', '"cat"')))]
        text = "{" + dice.choice([",", ", ", ",\n"]).join(members) + "}"
        yield Vector(f"{number}: {where} {text[:200]}", "unseen", "", None, frozenset(), {f"{where}_text": text})


def _decision(verifier: SessionVerifier, token: str) -> dict[str, Any]:
    try:
        return {"expected": "accepted", "identity": _shown(verifier.verify_now(token))}
    except TokenRejected as rejected:
        return {"expected": rejected.reason, "description": rejected.description}


def _shown(who: Authenticated) -> dict[str, Any]:
    organization = who.organization
    return {
        "userId": who.user_id,
        "sessionId": who.session_id,
        "expiresAt": who.expires_at,
        "issuedAt": who.issued_at,
        "authorizedParty": who.authorized_party,
        "actorId": who.actor_id,
        "factorAges": [who.first_factor_age_minutes, who.second_factor_age_minutes],
        "organization": organization
        and [organization.id, organization.slug, organization.role, sorted(organization.permissions)],
    }


def _request(dice: random.Random, signer: Signer, verifier: SessionVerifier) -> dict[str, Any]:
    def token() -> str:
        age = dice.choice([0, 3, 9, 600])
        iat = dice.choice([NOW - age, NOW - age, NOW - age + 0.5, True, "x", -1, 10**40])
        made = signer.session_token(NOW, sub=f"user_{dice.choice(string.ascii_lowercase)}", iat=iat, exp=NOW - age + 60)
        return dice.choice([made, made, made, made[:-4] + "AAAA", "garbage", "a.b.c", "", made + " x"])

    def cookie() -> str:
        name = dice.choice(
            ["__session", f"__session_{SUFFIX}", "__session_other123", "__Session", "theme", "x__session"]
        )
        blank = dice.choice(["", " ", "\t", "  "])
        quote = dice.choice(["", "", '"'])
        return f"{blank}{name}{blank}={blank}{quote}{token()}{quote}"

    headers: list[tuple[str, str]] = []
    for _ in range(dice.randrange(4)):
        cookies = dice.choice([";", "; "]).join(cookie() for _ in range(dice.randrange(1, 4)))
        headers.append((dice.choice(["cookie", "Cookie"]), cookies.strip()))
    if dice.random() < 0.3:
        scheme = dice.choice(["Bearer ", "bearer  ", "Bearer\t", "Basic ", "Bearer", "BEARER "])
        headers.append(("authorization", (scheme + token()).strip()))
    parties = [PARTY, PARTY, "https://evil.example.com", "null", f"{PARTY}/"]
    headers += [("origin", dice.choice(parties)) for _ in range(dice.choice([0, 0, 1, 1, 2]))]
    ignore = dice.random() < 0.3
    return {"headers": headers, "ignoreBadCookies": ignore, "expected": _verdict(headers, verifier, ignore)}


def _verdict(headers: list[tuple[str, str]], verifier: SessionVerifier, ignore: bool) -> str:  # noqa: FBT001
    raw = [(name.encode(), value.encode()) for name, value in headers]
    deciding = RequestVerifier(verifier, cookie_suffix=SUFFIX).verify(raw, ignore_bad_cookies=ignore)
    try:
        deciding.send(None)  # a PEM key is at hand: nothing is awaited
    except StopIteration as done:
        caller: Authenticated | None = done.value
        return "nobody" if caller is None else caller.user_id
    except TokenRejected as rejected:
        return rejected.reason
    except OriginRefused:
        return "origin-refused"
    except KeysUnavailable:
        return "unavailable"
    raise AssertionError("it awaited something")


def _targets(dice: random.Random, count: int) -> set[str]:
    fixed = {
        "/",
        "",
        "/docs",
        "/docs/",
        "/admin/x",
        "/admin/health",
        "/admin/health;/x",
        "/caf%C3%A9/x",
        "*",
        "http://h/docs",
        "/docs?x=//",
    }
    made = {"/" + "".join(dice.choices(_PIECES, k=dice.randrange(1, 7))) for _ in range(count)}
    return fixed | made


def _rule(target: str) -> str:
    raw = target.partition("?")[0]
    scope = {"path": unquote(raw, errors="replace"), "raw_path": raw.encode()}
    try:
        rule = _PYTHON_RULES.of(scope)
    except Refused:
        return "ambiguous"
    return next((path for path, known in _RULES.items() if known == rule), "default")


_PYTHON_RULES = Rules(_RULES, REQUIRED)


def _pems(pem: str) -> Iterator[str]:
    body = "".join(pem.splitlines()[1:-1])
    yield from (pem, body, f'"{pem}"', f"'{body}'", f" {pem}\n\n", pem.replace("\n", " "), pem.replace("\n", ""))
    yield from (pem.replace("\n", end) for end in ("\\n", "\\r\\n", "\\\\n", "\\\\r\\\\n", "\r\n", "\t"))
    yield from ("", " ", '""', "x", body[:-4], body + "=", body + "AAAA", body.replace("A", "é", 1), "A" * 400)
    yield from (pem.replace("PUBLIC", kind) for kind in ("PRIVATE", "RSA PUBLIC", "EC", ""))


def _is_pem(text: str) -> bool:
    try:
        PemKey(text)
    except ValueError:
        return False
    return True


def _origin(text: str) -> str | None:
    try:
        return serialized_origin(text)
    except ValueError:
        return None


def _odd_origins(dice: random.Random, count: int) -> Iterator[str]:
    pieces = (
        "https://",
        "http://",
        "app://",
        "a",
        "B",
        ".",
        ":",
        "443",
        "8080",
        "/",
        "ü",
        "*",
        "@",
        "%41",
        "[::1]",
        " ",
        "-",
        "_",
    )
    for _ in range(count):
        yield dice.choice(("https://", "app://", "")) + "".join(dice.choices(pieces, k=dice.randrange(1, 6)))


def _unseen_records(dice: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Return rows as those of the table, with the decisions of the Python SDK."""
    for number in range(count):
        user = {"id": '"<<user>>"', "version": "1"}
        for _ in range(dice.randrange(3)):
            user[dice.choice(_FIELDS)] = dice.choice(_DATA)
        more = "".join(f',"{name}":{dice.choice(_DATA)}' for name in ("changed", "x") if dice.random() < 0.3)
        row = {
            "name": f"{number}: {user}{more}",
            "event": dice.choice(["created", "updated", "deleted"]),
            "value": f'{{"user":{_object(user)}{more}}}',
            "headers": {"ce_time": dice.choice(_TIMES) if dice.random() < 0.3 else None},
        }
        made = record(row, "user_a")
        try:
            decode(made.headers, made.value)
        except UnusableEvent:
            yield {**row, "outcome": "unusable"}
        else:
            yield {**row, "outcome": "handled"}


def _session(dice: random.Random) -> dict[str, Any]:
    members = {"id": '"sess_1"', "user_id": '"user_a"'}
    for _ in range(dice.randrange(3)):
        members[dice.choice(["id", "user_id", "revoked_at", "extra"])] = dice.choice((*_DATA, *_LONG_IDS))
    row = {"event": "revoked", "value": f'{{"session":{_object(members)}}}', "headers": _odd_headers(dice)}
    made = record(row, "user_a")
    try:
        event = decode_session(made.headers, made.value)
    except UnusableEvent:
        expected = "unusable"
    else:
        expected = f"{event.session_id} {event.user_id}" if isinstance(event, SessionRevoked) else "unknown"
    return {"expected": expected, **encoded(made)}


def _state(dice: random.Random) -> dict[str, Any]:
    members = {"id": '"user_a"', "version": "1"}
    for _ in range(dice.randrange(3)):
        members[dice.choice(_FIELDS)] = dice.choice(_DATA)
    row: dict[str, Any] = {"event": dice.choice(["state", "gone"]), "headers": _odd_headers(dice)}
    if row["event"] == "state":
        row["value"] = f'{{"user":{_object(members)}}}'
    made = record(row, "user_a")
    key = dice.choice([made.key] * 6 + [b"user_b", b"", b"\xff", None])
    try:
        expected = type(decode_state(made.headers, key, made.value)).__name__
    except UnusableEvent:
        expected = "unusable"
    return {"expected": expected, **encoded(made), "key": None if key is None else base64.b64encode(key).decode()}


_LONG_IDS = [json.dumps(character * size, ensure_ascii=False) for character in "sé🚀" for size in (128, 255, 256)]


def _odd_headers(dice: random.Random) -> dict[str, str | None]:
    odd = {"ce_time": dice.choice((None, *_TIMES)), "ce_type": "x", "ce_sequence": "0", "ce_subject": "é", "ce_id": ""}
    name = dice.choice([*odd, "ce_time", "ce_time"])
    return {name: odd[name]} if dice.random() < 0.4 else {}


def _object(members: Mapping[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    made = record(row, "user_a")
    return {
        "name": row["name"],
        "after": row.get("after", 0),
        "expected": row["outcome"],
        **encoded(made),
    }


def new_seed() -> int:
    """Return a seed for a run of its own; the test prints it."""
    return int(time.time())
