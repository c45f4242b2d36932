"""The insides of tokens: JSON and claims, which are judged once the signature has proven them."""

import json
from collections.abc import Iterator

from anomalyze_auth import Reason
from sdktest.table.case import ACCEPTED, Case
from sdktest.tokens import NOW, claims, claims_v1, header, signed


def genuine() -> Iterator[Case]:
    organization = {"id": "org_1", "slg": "acme", "rol": "admin", "per": "manage,read", "fpm": "3,2"}
    yield Case("version 2", signed(), ACCEPTED)
    yield Case("version 2 with organization", signed(claims(fea="o:dashboard,o:teams", o=organization)), ACCEPTED)
    yield Case("version 1", signed(claims_v1()), ACCEPTED)
    yield Case(
        "version 1 with organization",
        signed(claims_v1(org_id="org_1", org_slug="acme", org_role="org:admin", org_permissions=["org:a:b"])),
        ACCEPTED,
    )
    yield Case("version 1 with null organization", signed(claims_v1(org_id=None, org_role=None)), ACCEPTED)
    yield Case("a later version of the claims", signed(claims(v=3)), ACCEPTED)
    yield Case(
        "minimal claims",
        signed({"sub": "user_1", "sid": "sess_1", "exp": NOW + 60, "iss": claims()["iss"], "azp": claims()["azp"]}),
        ACCEPTED,
    )
    yield Case("impersonation", signed(claims(act={"iss": "x", "sid": "sess_2", "sub": "user_admin"})), ACCEPTED)
    yield Case("impersonation by an agent", signed(claims(act={"sub": "agent_1", "type": "agent"})), ACCEPTED)
    yield Case("custom claims", signed(claims(role="editor", metadata={"deep": [1, {"er": None}]})), ACCEPTED)
    yield Case("non-ASCII custom claims", signed(claims(name="Zoë 🚀")), ACCEPTED)
    yield Case(
        "non-ASCII custom claims, unescaped",
        signed(json.dumps(claims(name="Zoë 🚀"), ensure_ascii=False).encode()),
        ACCEPTED,
    )
    yield Case("white space around the claims", signed(b"\n " + json.dumps(claims()).encode() + b" \n"), ACCEPTED)
    yield Case("a long but permitted token", signed(claims(custom="x" * 8000)), ACCEPTED)


def insides() -> Iterator[Case]:
    yield from _json()
    yield from _times()
    yield from _subjects()
    yield from _claims()
    yield from _organizations()


def _json() -> Iterator[Case]:
    good = json.dumps(claims()).encode()
    yield Case("payload a list", signed(b"[]"), Reason.TOKEN_MALFORMED)
    yield Case("payload a number", signed(b"1"), Reason.TOKEN_MALFORMED)
    yield Case("payload null", signed(b"null"), Reason.TOKEN_MALFORMED)
    yield Case("payload cut off", signed(good[:-1]), Reason.TOKEN_MALFORMED)
    yield Case("payload with more behind", signed(good + b"{}"), Reason.TOKEN_MALFORMED)
    yield Case("payload not UTF-8", signed(good[:-1] + b',"x":"\xff"}'), Reason.TOKEN_MALFORMED)
    yield Case("payload in UTF-16", signed(good.decode().encode("utf-16")), Reason.TOKEN_MALFORMED)
    yield Case("payload with a byte order mark", signed(b"\xef\xbb\xbf" + good), Reason.TOKEN_MALFORMED)
    yield Case("payload with a half surrogate pair", signed(good[:-1] + b',"x":"\\ud800"}'), Reason.TOKEN_MALFORMED)
    yield Case("payload with a whole surrogate pair", signed(good[:-1] + b',"x":"\\ud83d\\ude80"}'), ACCEPTED)
    yield Case(
        "payload nested too deep",
        signed(good[:-1] + b',"x":' + b"[" * 5000),
        Reason.TOKEN_MALFORMED,
    )
    for depth, verdict in ((62, ACCEPTED), (63, Reason.TOKEN_MALFORMED)):  # and the claims around them
        nested = b"[" * depth + b"1" + b"]" * depth
        yield Case(f"payload with {depth} lists in each other", signed(good[:-1] + b',"x":' + nested + b"}"), verdict)
    yield Case("a hundred objects side by side", signed(claims(custom=[{"x": []}] * 100)), ACCEPTED)
    yield Case("sub twice", signed(good[:-1] + b',"sub":"user_admin"}'), Reason.TOKEN_MALFORMED)
    yield Case("exp twice", signed(b'{"exp":1,' + good[1:]), Reason.TOKEN_MALFORMED)
    yield Case("a nested name twice", signed(good[:-1] + b',"o":{"id":"org_1","id":"org_2"}}'), Reason.TOKEN_MALFORMED)
    yield Case("a NaN", signed(good[:-1] + b',"x":NaN}'), Reason.TOKEN_MALFORMED)
    yield Case("a number of 5000 digits", signed(good[:-1] + b',"x":' + b"9" * 5000 + b"}"), Reason.TOKEN_MALFORMED)


def _times() -> Iterator[Case]:
    value: object
    yield Case("exp 4 s ago", signed(claims(exp=NOW - 4)), ACCEPTED)
    yield Case("exp 5 s ago", signed(claims(exp=NOW - 5)), Reason.TOKEN_EXPIRED)
    yield Case("exp 6 s ago", signed(claims(exp=NOW - 6)), Reason.TOKEN_EXPIRED)
    yield Case("nbf in 4 s", signed(claims(nbf=NOW + 4)), ACCEPTED)
    yield Case("nbf in 5 s", signed(claims(nbf=NOW + 5)), ACCEPTED)
    yield Case("nbf in 6 s", signed(claims(nbf=NOW + 6)), Reason.TOKEN_NOT_ACTIVE_YET)
    yield Case("iat in 5 s", signed(claims(iat=NOW + 5)), ACCEPTED)
    yield Case("iat in 6 s", signed(claims(iat=NOW + 6)), Reason.TOKEN_ISSUED_IN_THE_FUTURE)
    yield Case("nbf and iat absent", signed(claims(nbf=..., iat=...)), ACCEPTED)
    yield Case("exp absent", signed(claims(exp=...)), Reason.CLAIM_MISSING)
    yield Case("exp with a fraction", signed(claims(exp=NOW + 0.5)), ACCEPTED)
    yield Case("exp zero", signed(claims(exp=0)), Reason.TOKEN_EXPIRED)
    yield Case("exp negative", signed(claims(exp=-1)), Reason.TOKEN_EXPIRED)
    yield Case("exp in milliseconds", signed(claims(exp=(NOW + 60) * 1000)), ACCEPTED)
    yield Case("exp 2^53", signed(claims(exp=2**53)), ACCEPTED)
    for name in ("exp", "nbf", "iat"):
        for value in ("1800000060", True, None, [], {}, "", "soon"):
            yield Case(f"{name} {json.dumps(value)}", signed(claims(**{name: value})), Reason.CLAIM_INVALID)
        raw = json.dumps(claims(**{name: ...})).encode()[:-1] + f',"{name}":'.encode()
        for literal in ("1e999", "-1e999", "NaN", "Infinity", "-Infinity"):
            yield Case(f"{name} {literal}", signed(raw + literal.encode() + b"}"), Reason.TOKEN_MALFORMED)
        far = {"exp": ACCEPTED, "nbf": Reason.TOKEN_NOT_ACTIVE_YET, "iat": Reason.TOKEN_ISSUED_IN_THE_FUTURE}
        for literal in ("9007199254740993", "1" + "0" * 30, "1e300"):
            yield Case(f"{name} {literal}", signed(raw + literal.encode() + b"}"), far[name])
        past = Reason.TOKEN_EXPIRED if name == "exp" else ACCEPTED
        for literal in ("-1" + "0" * 30, "-1e300"):
            yield Case(f"{name} {literal}", signed(raw + literal.encode() + b"}"), past)


def _subjects() -> Iterator[Case]:
    value: object
    yield Case("sub absent", signed(claims(sub=...)), Reason.CLAIM_MISSING)
    for value in (
        "",
        None,
        7,
        True,
        [],
        {},
        ["user_1"],
        "alice",
        "org_1",
        "user_",
        "user_é",
        "user_1 ",
        "user_1\r\nX: y",
        "user_../x",
        "user_" + "x" * 124,
    ):
        name = json.dumps(value)
        yield Case(f"sub {name[:24]}", signed(claims(sub=value)), Reason.CLAIM_INVALID)
    yield Case("sid absent", signed(claims(sid=...)), Reason.CLAIM_MISSING)
    # A JWT template of before the class marks: signed by the same key, and alive for as long as somebody chose.
    yield Case("sid and cat absent", signed(claims(sid=...), header(cat=...)), Reason.CLAIM_MISSING)
    for value in (None, 7, "", "sess 1", "sess_\n"):
        yield Case(f"sid {json.dumps(value)}", signed(claims(sid=value)), Reason.CLAIM_INVALID)


def _claims() -> Iterator[Case]:
    value: object
    yield Case("iss of another instance", signed(claims(iss="https://clerk.example.org")), Reason.ISSUER_MISMATCH)
    yield Case("iss with a slash", signed(claims(iss="https://clerk.example.com/")), Reason.ISSUER_MISMATCH)
    yield Case("iss absent", signed(claims(iss=...)), Reason.ISSUER_MISMATCH)
    yield Case("iss null", signed(claims(iss=None)), Reason.CLAIM_INVALID)
    yield Case("iss a list", signed(claims(iss=[claims()["iss"]])), Reason.CLAIM_INVALID)
    yield Case(
        "azp of another origin", signed(claims(azp="https://evil.example.com")), Reason.AUTHORIZED_PARTY_MISMATCH
    )
    yield Case("azp absent", signed(claims(azp=...)), Reason.AUTHORIZED_PARTY_MISMATCH)
    yield Case("azp empty", signed(claims(azp="")), Reason.AUTHORIZED_PARTY_MISMATCH)
    yield Case("azp null", signed(claims(azp=None)), Reason.CLAIM_INVALID)
    yield Case("azp a list", signed(claims(azp=[claims()["azp"]])), Reason.CLAIM_INVALID)
    yield Case("azp with other case", signed(claims(azp="https://APP.example.com")), Reason.AUTHORIZED_PARTY_MISMATCH)
    yield Case("aud not asked for", signed(claims(aud="https://api.example.com")), ACCEPTED)
    yield Case("aud of no known type", signed(claims(aud={"x": 1})), ACCEPTED)
    yield Case("sts absent", signed(claims(sts=...)), ACCEPTED)
    yield Case("sts pending", signed(claims(sts="pending")), Reason.SESSION_PENDING)
    yield Case("sts unknown", signed(claims(sts="revoked")), Reason.CLAIM_INVALID)
    yield Case("sts null", signed(claims(sts=None)), Reason.CLAIM_INVALID)
    yield Case("sts a list", signed(claims(sts=["active"])), Reason.CLAIM_INVALID)
    yield Case("fva absent", signed(claims(fva=...)), ACCEPTED)
    for value in ("3", [], [1], [1, 2, 3], [1.5, -1], ["1", "2"], [True, False]):
        yield Case(f"fva {json.dumps(value)}", signed(claims(fva=value)), Reason.CLAIM_INVALID)
    for value in ("user_admin", [], {}, {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": "a b"}):
        yield Case(f"act {json.dumps(value)}", signed(claims(act=value)), Reason.CLAIM_INVALID)
    for value in ("2", True, None, 2.0):
        yield Case(f"v {json.dumps(value)}", signed(claims(v=value)), Reason.CLAIM_INVALID)


def _organizations() -> Iterator[Case]:
    value: object
    for value in (
        "org_1",
        [],
        {},
        {"id": 7},
        {"id": ""},
        {"id": "org_1", "rol": 7},
        {"id": "org_1", "per": []},
        {"id": "org_1", "fpm": 3},
        {"id": "org_1", "slg": {}},
    ):
        yield Case(f"o {json.dumps(value)}", signed(claims(o=value)), Reason.CLAIM_INVALID)
    yield Case("fea a list", signed(claims(fea=["o:x"], o={"id": "org_1"})), Reason.CLAIM_INVALID)
    yield Case(
        "organization with masks that are no numbers",
        signed(claims(fea="o:x", o={"id": "org_1", "rol": "admin", "per": "a", "fpm": "-1"})),
        ACCEPTED,
    )
    yield Case("version 1 org_id a number", signed(claims_v1(org_id=7)), Reason.CLAIM_INVALID)
    yield Case("version 1 org_role a list", signed(claims_v1(org_id="org_1", org_role=[])), Reason.CLAIM_INVALID)
    yield Case(
        "version 1 org_permissions a text",
        signed(claims_v1(org_id="org_1", org_permissions="all")),
        Reason.CLAIM_INVALID,
    )
    yield Case("version 2 claim in version 1", signed(claims_v1(o="custom")), ACCEPTED)
