"""The outsides of tokens: form, encoding, header and signature, and what tells a session token from other classes."""

import hashlib
import hmac
import json
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from anomalyze_auth import Reason
from sdktest.table.case import ACCEPTED, Case
from sdktest.tokens import (
    CATEGORY_MACHINE,
    CATEGORY_NONE,
    CATEGORY_SESSION,
    CATEGORY_TEMPLATE,
    NOW,
    base64url,
    base64url_json,
    claims,
    ec_private_key,
    header,
    jwk,
    pem,
    private_key,
    signed,
    signed_segments,
    unsigned,
)


def outsides() -> Iterator[Case]:
    yield from _form()
    yield from _encoding()
    yield from _algorithms()
    yield from _headers()
    yield from _classes()


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
    for name, algorithm in (("RS384", hashes.SHA384()), ("RS512", hashes.SHA512())):
        text = unsigned(protected=header(alg=name))
        code = private_key().sign(text.encode(), padding.PKCS1v15(), algorithm)
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
    for cty in ("JWT", "jwt", "application/jwt"):
        yield Case(f"cty {cty!r}", signed(protected=header(cty=cty)), Reason.UNSUPPORTED_HEADER)
    yield Case("a token in a token", signed(signed().encode(), header(cty="JWT")), Reason.UNSUPPORTED_HEADER)
    yield Case("cty of no token", signed(protected=header(cty="json")), ACCEPTED)
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
