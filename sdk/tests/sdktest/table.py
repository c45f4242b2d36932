"""The table of tokens: what each is, and what must come of it."""

import hashlib
import hmac
import json
from collections.abc import Iterator

import attrs
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from anomalyze_auth import Reason
from sdktest.tokens import (
    CATEGORY_MACHINE,
    CATEGORY_NONE,
    CATEGORY_SESSION,
    CATEGORY_TEMPLATE,
    NOW,
    base64url,
    base64url_json,
    claims,
    claims_v1,
    ec_private_key,
    header,
    jwk,
    pem,
    private_key,
    signed,
    signed_segments,
    unsigned,
)

ACCEPTED = "accepted"


@attrs.frozen
class Case:
    """`expected` is ACCEPTED or a Reason; `with_jwks` when a key set decides differently from a PEM."""

    name: str
    token: str
    expected: str
    with_jwks: str | None = None


def cases() -> list[Case]:
    made = [
        *_genuine(),
        *_form(),
        *_encoding(),
        *_algorithms(),
        *_headers(),
        *_classes(),
        *_json(),
        *_times(),
        *_subjects(),
        *_claims(),
        *_organizations(),
    ]
    assert len({case.name for case in made}) == len(made)
    return made


def _genuine() -> Iterator[Case]:
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
        signed({"sub": "user_1", "exp": NOW + 60, "iss": claims()["iss"], "azp": claims()["azp"]}),
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


def _form() -> Iterator[Case]:
    good = signed()
    head, payload, signature = good.split(".")
    yield Case("empty text", "", Reason.TOKEN_MALFORMED)
    yield Case("one dot", ".", Reason.TOKEN_MALFORMED)
    yield Case("two dots", "..", Reason.TOKEN_MALFORMED)
    yield Case("a word", "null", Reason.TOKEN_MALFORMED)
    yield Case("two parts", f"{head}.{payload}", Reason.TOKEN_MALFORMED)
    yield Case("four parts", f"{good}.{signature}", Reason.TOKEN_MALFORMED)
    yield Case("a trailing dot", f"{good}.", Reason.TOKEN_MALFORMED)
    yield Case("a leading dot", f".{good}", Reason.TOKEN_MALFORMED)
    yield Case(
        "an encrypted token (JWE)",
        f"{base64url_json({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.a2V5.aXY.dGV4dA.dGFn",
        Reason.TOKEN_MALFORMED,
    )
    yield Case("a leading space", f" {good}", Reason.TOKEN_MALFORMED)
    yield Case("a trailing newline", f"{good}\n", Reason.TOKEN_MALFORMED)
    yield Case("two tokens", f"{good} {good}", Reason.TOKEN_MALFORMED)
    yield Case("two tokens with a comma", f"{good}, {good}", Reason.TOKEN_MALFORMED)
    yield Case("with its scheme", f"Bearer {good}", Reason.TOKEN_MALFORMED)
    yield Case("in quotes", f'"{good}"', Reason.TOKEN_MALFORMED)
    yield Case("non-ASCII text", f"{head}.{payload}é.{signature}", Reason.TOKEN_MALFORMED)
    yield Case("full-width letters", good.replace("e", "\N{FULLWIDTH LATIN SMALL LETTER E}"), Reason.TOKEN_MALFORMED)
    yield Case("a null character", f"{good}\x00", Reason.TOKEN_MALFORMED)
    yield Case(
        "flattened JSON serialization",
        json.dumps({"protected": head, "payload": payload, "signature": signature}),
        Reason.TOKEN_MALFORMED,
    )
    yield Case("oversized garbage", "a" * 100_000, Reason.TOKEN_TOO_LARGE)
    yield Case("oversized and genuine", signed(claims(custom="x" * 20_000)), Reason.TOKEN_TOO_LARGE)
    yield Case("an opaque machine token", "mt_0123456789abcdef", Reason.WRONG_TOKEN_TYPE)
    yield Case("an opaque OAuth token", "oat_0123456789abcdef", Reason.WRONG_TOKEN_TYPE)
    yield Case("an API key", "ak_0123456789abcdef", Reason.WRONG_TOKEN_TYPE)


def _encoding() -> Iterator[Case]:
    good = signed()
    head, payload, signature = good.split(".")
    yield Case("padded parts", f"{head}==.{payload}.{signature}", Reason.TOKEN_MALFORMED)
    yield Case("a padded signature", f"{good}==", Reason.TOKEN_MALFORMED)
    yield Case("standard base64 alphabet", f"{head}.{payload}.{signature[:-3]}+/A", Reason.TOKEN_MALFORMED)
    yield Case("exclamation marks", f"{head}.!!!!.{signature}", Reason.TOKEN_MALFORMED)
    yield Case(
        "an impossible length of the header",
        f"{head}AAAAA"[: len(head) // 4 * 4 + 1] + f".{payload}.x",
        Reason.TOKEN_MALFORMED,
    )
    yield Case("an impossible length of the signature", f"{head}.{payload}.A", Reason.TOKEN_MALFORMED)
    # 256 bytes leave four unused bits in the last character: another spelling of the same signature.
    respelled = signature[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[signature[-1]]
    yield Case("another spelling of the signature", f"{head}.{payload}.{respelled}", Reason.TOKEN_MALFORMED)
    yield Case("a payload that is not base64url", signed_segments(head, "A"), Reason.TOKEN_MALFORMED)
    yield Case("an empty payload", signed_segments(head, ""), Reason.TOKEN_MALFORMED)


def _algorithms() -> Iterator[Case]:
    def with_algorithm(name: str, signature: bytes = b"") -> str:
        return f"{unsigned(protected=header(alg=name))}.{base64url(signature)}"

    for name in ("none", "None", "NONE", "nOnE", ""):
        yield Case(f"alg {name!r}, no signature", with_algorithm(name), Reason.TOKEN_INVALID_ALGORITHM)
    for name, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
        text = unsigned(protected=header(alg=name))
        code = hmac.new(pem().encode(), text.encode(), digest).digest()
        yield Case(f"{name} with the public key as secret", f"{text}.{base64url(code)}", Reason.TOKEN_INVALID_ALGORITHM)
    for name, digest in (("RS384", hashes.SHA384()), ("RS512", hashes.SHA512())):
        text = unsigned(protected=header(alg=name))
        code = private_key().sign(text.encode(), padding.PKCS1v15(), digest)
        yield Case(f"{name} by our key", f"{text}.{base64url(code)}", Reason.TOKEN_INVALID_ALGORITHM)
    text = unsigned(protected=header(alg="PS256"))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    yield Case(
        "PS256 by our key",
        f"{text}.{base64url(private_key().sign(text.encode(), pss, hashes.SHA256()))}",
        Reason.TOKEN_INVALID_ALGORITHM,
    )
    text = unsigned(protected=header(alg="ES256"))
    code = ec_private_key().sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    yield Case("ES256", f"{text}.{base64url(code)}", Reason.TOKEN_INVALID_ALGORITHM)
    yield Case("alg rs256", signed(protected=header(alg="rs256")), Reason.TOKEN_INVALID_ALGORITHM)
    yield Case("alg missing", signed(protected=header(alg=...)), Reason.TOKEN_INVALID_ALGORITHM)
    yield Case("alg null", signed(protected=header(alg=None)), Reason.TOKEN_INVALID_ALGORITHM)
    yield Case("alg a list", signed(protected=header(alg=["RS256"])), Reason.TOKEN_INVALID_ALGORITHM)
    text = unsigned()
    yield Case("RS256 without a signature", f"{text}.", Reason.TOKEN_INVALID_SIGNATURE)
    yield Case("RS256 with zeros for a signature", f"{text}.{base64url(bytes(256))}", Reason.TOKEN_INVALID_SIGNATURE)
    yield Case("RS256 with a short signature", f"{text}.{base64url(b'short')}", Reason.TOKEN_INVALID_SIGNATURE)
    yield Case("signed by a stranger", signed(key="stranger"), Reason.TOKEN_INVALID_SIGNATURE)
    yield Case(
        "signed by a stranger, expired", signed(claims(exp=NOW - 999), key="stranger"), Reason.TOKEN_INVALID_SIGNATURE
    )
    code = private_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA512())
    yield Case("RS512 signature under alg RS256", f"{text}.{base64url(code)}", Reason.TOKEN_INVALID_SIGNATURE)
    head, payload, signature = signed().split(".")
    other = base64url_json(claims(sub="user_somebodyelse"))
    yield Case("a changed payload", f"{head}.{other}.{signature}", Reason.TOKEN_INVALID_SIGNATURE)
    yield Case(
        "a changed header", f"{base64url_json(header(extra=1))}.{payload}.{signature}", Reason.TOKEN_INVALID_SIGNATURE
    )


def _headers() -> Iterator[Case]:
    stranger = jwk("stranger")
    certificate = base64url(
        private_key("stranger")
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    tricks = {
        "jwk": stranger,
        "jku": "https://attacker.example.com/jwks.json",
        "x5u": "https://attacker.example.com/cert.pem",
        "x5c": [certificate],
    }
    for name, value in tricks.items():
        yield Case(
            f"a stranger's {name} in the header",
            signed(protected=header(**{name: value}), key="stranger"),
            Reason.TOKEN_INVALID_SIGNATURE,
        )
    yield Case("an ignored jku in the header", signed(protected=header(jku=tricks["jku"])), ACCEPTED)
    yield Case("unknown header members", signed(protected=header(oiat=NOW, future={"x": 1})), ACCEPTED)
    yield Case("crit unknown", signed(protected=header(crit=["exp"], exp=1)), Reason.UNSUPPORTED_HEADER)
    yield Case("crit empty", signed(protected=header(crit=[])), Reason.UNSUPPORTED_HEADER)
    yield Case("crit b64", signed(protected=header(crit=["b64"], b64=True)), Reason.UNSUPPORTED_HEADER)
    yield Case("crit null", signed(protected=header(crit=None)), Reason.UNSUPPORTED_HEADER)
    yield Case("b64 false", signed(protected=header(b64=False)), Reason.UNSUPPORTED_HEADER)
    for kid in ("../../etc/passwd", "' OR 1=1 --", "ins_another", "", "é" * 99, "/dev/null"):
        yield Case(f"kid {kid[:20]!r}", signed(protected=header(kid=kid)), ACCEPTED, with_jwks=Reason.UNKNOWN_KEY)
    yield Case("kid missing", signed(protected=header(kid=...)), ACCEPTED, with_jwks=Reason.UNKNOWN_KEY)
    yield Case("kid a number", signed(protected=header(kid=7)), Reason.TOKEN_MALFORMED)
    yield Case("kid null", signed(protected=header(kid=None)), Reason.TOKEN_MALFORMED)
    yield Case("kid a list", signed(protected=header(kid=[])), Reason.TOKEN_MALFORMED)
    yield Case("header a list", signed(protected=b'["RS256"]'), Reason.TOKEN_MALFORMED)
    yield Case("header a string", signed(protected=b'"RS256"'), Reason.TOKEN_MALFORMED)
    yield Case("header null", signed(protected=b"null"), Reason.TOKEN_MALFORMED)
    yield Case("header not JSON", signed(protected=b"{alg:RS256}"), Reason.TOKEN_MALFORMED)
    yield Case("header nested too deep", signed(protected=b'{"alg":"RS256","x":' + b"[" * 5000), Reason.TOKEN_MALFORMED)
    yield Case(
        "header with alg twice",
        signed(protected=b'{"alg":"none","alg":"RS256","kid":"ins_2abcDEFghi"}'),
        Reason.TOKEN_MALFORMED,
    )
    yield Case("header in UTF-16", signed(protected=json.dumps(header()).encode("utf-16")), Reason.TOKEN_MALFORMED)
    yield Case("header not UTF-8", signed(protected=b'{"alg":"RS256","x":"\xff"}'), Reason.TOKEN_MALFORMED)


def _classes() -> Iterator[Case]:
    yield Case("typ absent", signed(protected=header(typ=...)), ACCEPTED)
    yield Case("cat absent", signed(protected=header(cat=...)), ACCEPTED)
    yield Case("cat session", signed(protected=header(cat=CATEGORY_SESSION)), ACCEPTED)
    yield Case("cat without a class", signed(protected=header(cat=CATEGORY_NONE)), ACCEPTED)
    yield Case(
        "JWT template",
        signed(claims(sid=..., exp=NOW + 9e6, aud="x"), header(cat=CATEGORY_TEMPLATE)),
        Reason.WRONG_TOKEN_TYPE,
    )
    yield Case("JWT template with a sid", signed(protected=header(cat=CATEGORY_TEMPLATE)), Reason.WRONG_TOKEN_TYPE)
    yield Case(
        "machine token",
        signed(
            {"sub": "mch_1", "exp": NOW + 60, "aud": ["mch_2"], "scopes": "mch_2", "iss": claims()["iss"]},
            header(cat=CATEGORY_MACHINE),
        ),
        Reason.WRONG_TOKEN_TYPE,
    )
    yield Case(
        "machine token without cat", signed(claims(sub="mch_1", sid=...), header(cat=...)), Reason.WRONG_TOKEN_TYPE
    )
    for typ in ("at+jwt", "application/at+jwt", "jwt", "JWS", "", "dpop+jwt"):
        yield Case(f"typ {typ!r}", signed(protected=header(typ=typ)), Reason.WRONG_TOKEN_TYPE)
    yield Case("typ null", signed(protected=header(typ=None)), Reason.WRONG_TOKEN_TYPE)
    yield Case("typ a list", signed(protected=header(typ=["JWT"])), Reason.WRONG_TOKEN_TYPE)
    oauth = {"client_id": "client_1", "scope": "profile email"}
    yield Case(
        "OAuth access token",
        signed(claims(sid=..., jti="oat_1", **oauth), header(typ="at+jwt", cat=...)),
        Reason.WRONG_TOKEN_TYPE,
    )
    yield Case(
        "OAuth access token with typ JWT", signed(claims(sid=..., **oauth), header(cat=...)), Reason.WRONG_TOKEN_TYPE
    )
    yield Case("OAuth token id", signed(claims(jti="oat_1")), Reason.WRONG_TOKEN_TYPE)
    yield Case("cat unknown", signed(protected=header(cat="cl_X")), Reason.WRONG_TOKEN_TYPE)
    yield Case("cat null", signed(protected=header(cat=None)), Reason.WRONG_TOKEN_TYPE)
    yield Case("cat a list", signed(protected=header(cat=[CATEGORY_SESSION])), Reason.WRONG_TOKEN_TYPE)


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
        "user_" + "x" * 300,
    ):
        name = json.dumps(value)
        yield Case(f"sub {name[:24]}", signed(claims(sub=value)), Reason.CLAIM_INVALID)
    yield Case("sid absent", signed(claims(sid=...)), ACCEPTED)
    for value in (None, 7, "", "sess 1", "sess_\n"):
        yield Case(f"sid {json.dumps(value)}", signed(claims(sid=value)), Reason.CLAIM_INVALID)


def _claims() -> Iterator[Case]:
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
