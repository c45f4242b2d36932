"""CLERK_* and PORT as hosts and people write them, and what becomes of each: docs/hosting.md shows the same rows."""

import base64

from attrs import frozen

from support.web import PUBLISHABLE_KEY, SECRET, public_key

PEM = public_key().strip()
ISSUER_SAID = "https://clerk.example.com"
SK = "sk_test_0123456789abcdef"


@frozen
class Row:
    variable: str
    shown: str
    """As the page shows it; nothing secret."""
    text: str
    """What is set."""
    result: object = None
    """The value that is used; None where it is refused."""
    refusal: str = ""
    """What the message says."""


def _once(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _taken(variable: str, shown: str, text: str, result: object) -> Row:
    return Row(variable, shown, text, result)


def _refused(variable: str, shown: str, text: str, refusal: str) -> Row:
    return Row(variable, shown, text, None, refusal)


PLACEHOLDER = "the placeholder of an example, not a value"
EXAMPLE = "the example from the documentation, which everybody knows"
WHOLE_LINE = "a whole line with a name in front"
BASE64 = "encoded in base64 once too often"

ROWS = (
    _taken("CLERK_SECRET_KEY", '"sk_test_…" (docker --env-file keeps quotes)', f'"{SK}"', SK),
    _taken("CLERK_SECRET_KEY", "'sk_test_…'", f"'{SK}'", SK),
    _taken("CLERK_SECRET_KEY", "“sk_test_…” (from a text processor)", f"“{SK}”", SK),
    _taken("CLERK_SECRET_KEY", "sk_test_… and a line end or CRLF", f"{SK}\r\n", SK),
    _taken("CLERK_SECRET_KEY", "byte-order mark, then sk_test_…", f"\ufeff{SK}", SK),
    _taken("CLERK_SECRET_KEY", "sk_test_… and a zero-width space", f"{SK}\u200b", SK),
    _refused("CLERK_SECRET_KEY", "sk_test_… (left as it was)", "sk_test_…", PLACEHOLDER),
    _refused("CLERK_SECRET_KEY", "sk_test_...", "sk_test_...", PLACEHOLDER),
    _refused("CLERK_SECRET_KEY", "sk_test_xxxxxxxx", "sk_test_xxxxxxxx", PLACEHOLDER),
    _refused("CLERK_SECRET_KEY", "sk_test_your_secret_key", "sk_test_your_secret_key", PLACEHOLDER),
    _refused("CLERK_SECRET_KEY", "YOUR_SECRET_KEY", "YOUR_SECRET_KEY", PLACEHOLDER),
    _refused("CLERK_SECRET_KEY", "<your key>", "<your key>", PLACEHOLDER),
    _refused("CLERK_SECRET_KEY", "${CLERK_SECRET_KEY} (not replaced)", "${CLERK_SECRET_KEY}", PLACEHOLDER),
    _refused("CLERK_SECRET_KEY", "op://vault/clerk/key", "op://vault/clerk/key", PLACEHOLDER),
    _refused(
        "CLERK_SECRET_KEY", "the example of .env.example", "sk_test_thisIsAnExampleAndNotTheKeyOfAnyInstance", EXAMPLE
    ),
    _refused("CLERK_SECRET_KEY", "sk_test_ and nothing else", "sk_test_", PLACEHOLDER),
    _refused("CLERK_SECRET_KEY", "export CLERK_SECRET_KEY=sk_test_…", f"export CLERK_SECRET_KEY={SK}", WHOLE_LINE),
    _refused("CLERK_SECRET_KEY", "CLERK_SECRET_KEY: sk_test_…", f"CLERK_SECRET_KEY: {SK}", WHOLE_LINE),
    _refused(
        "CLERK_SECRET_KEY",
        "pk_test_…",
        PUBLISHABLE_KEY,
        "a publishable key of Clerk, which belongs in CLERK_PUBLISHABLE_KEY",
    ),
    _refused("CLERK_SECRET_KEY", "whsec_…", SECRET, "a webhook signing secret, which belongs in CLERK_WEBHOOK_SECRET"),
    _refused("CLERK_SECRET_KEY", "base64 of sk_test_…", _once(SK), BASE64),
    _refused("CLERK_SECRET_KEY", "sk_test_… with a blank in it", "sk_test_0123 456789", "holds a blank"),
    _refused("CLERK_SECRET_KEY", "two keys, one a line", f"{SK}\n{SK}", "a line break"),
    _refused("CLERK_SECRET_KEY", "two keys with a comma", f"{SK},{SK}", "another character that no secret key has"),
    _refused("CLERK_SECRET_KEY", "a session token", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln", "it is a token (JWT)"),
    _taken("CLERK_WEBHOOK_SECRET", '"whsec_…"', f'"{SECRET}"', (SECRET,)),
    _taken(
        "CLERK_WEBHOOK_SECRET", '"whsec_…", "whsec_…" (while rotating)', f'"{SECRET}", "{SECRET}"', (SECRET, SECRET)
    ),
    _taken("CLERK_WEBHOOK_SECRET", "byte-order mark, whsec_…, CRLF", f"\ufeff{SECRET}\r\n", (SECRET,)),
    _refused("CLERK_WEBHOOK_SECRET", "whsec_… (left as it was)", "whsec_…", PLACEHOLDER),
    _refused("CLERK_WEBHOOK_SECRET", "whsec_xxxx", "whsec_xxxx", PLACEHOLDER),
    _refused(
        "CLERK_WEBHOOK_SECRET",
        "the example of .env.example",
        "whsec_dGhpcyBpcyBhbiBleGFtcGxlLCBhbmQgbm8gc2VjcmV0",
        EXAMPLE,
    ),
    _refused(
        "CLERK_WEBHOOK_SECRET",
        "sk_test_…",
        SK,
        "a secret key of Clerk's Backend API, which belongs in CLERK_SECRET_KEY",
    ),
    _refused("CLERK_WEBHOOK_SECRET", "base64 of whsec_…", _once(SECRET), BASE64),
    _refused("CLERK_WEBHOOK_SECRET", "cut in the middle", SECRET[:20], "holds 24 to 64 bytes"),
    _taken("CLERK_PUBLISHABLE_KEY", '"pk_test_…"', f'"{PUBLISHABLE_KEY}"', PUBLISHABLE_KEY),
    _taken("CLERK_PUBLISHABLE_KEY", "pk_test_… without its last =", PUBLISHABLE_KEY.rstrip("="), PUBLISHABLE_KEY),
    _refused("CLERK_PUBLISHABLE_KEY", "pk_test_… (left as it was)", "pk_test_…", PLACEHOLDER),
    _refused("CLERK_PUBLISHABLE_KEY", "sk_test_…", SK, "which belongs in CLERK_SECRET_KEY"),
    _refused("CLERK_PUBLISHABLE_KEY", "pk_test_… cut in the middle", PUBLISHABLE_KEY[:20], "does not hold a host name"),
    _refused(
        "CLERK_PUBLISHABLE_KEY",
        "pk_test_… of clerk..example.com",
        "pk_test_" + _once("clerk..example.com$"),
        "does not hold a host name",
    ),
    _taken("CLERK_JWT_KEY", "PEM", PEM, PEM),
    _taken("CLERK_JWT_KEY", "PEM on one line, with \\n", PEM.replace("\n", "\\n"), PEM.replace("\n", "\\n")),
    _taken("CLERK_JWT_KEY", "PEM on one line, blanks for line ends", PEM.replace("\n", " "), PEM.replace("\n", " ")),
    _taken("CLERK_JWT_KEY", "PEM with CRLF", PEM.replace("\n", "\r\n"), PEM.replace("\n", "\r\n")),
    _taken("CLERK_JWT_KEY", "base64 of the PEM", _once(PEM), PEM),
    _taken("CLERK_JWT_KEY", "base64 of the PEM, in lines", base64.encodebytes(PEM.encode()).decode(), PEM),
    _refused("CLERK_JWT_KEY", "the PEM's first line alone", PEM.splitlines()[0], "its end is missing"),
    _refused(
        "CLERK_JWT_KEY", "a private key", PEM.replace("PUBLIC", "PRIVATE"), "is a PRIVATE KEY; a PUBLIC KEY is needed"
    ),
    _refused("CLERK_JWT_KEY", "a certificate", PEM.replace("PUBLIC KEY", "CERTIFICATE"), "is a CERTIFICATE"),
    _refused("CLERK_JWT_KEY", "a JSON Web Key", '{"kty": "RSA", "n": "AQ", "e": "AQAB"}', "a JSON Web Key"),
    _refused("CLERK_JWT_KEY", "sk_test_…", SK, "which belongs in CLERK_SECRET_KEY"),
    _taken("CLERK_ISSUER", "https://clerk.example.com/", f"{ISSUER_SAID}/", ISSUER_SAID),
    _taken("CLERK_ISSUER", "HTTPS://Clerk.Example.com:443", "HTTPS://Clerk.Example.com:443", ISSUER_SAID),
    _taken(
        "CLERK_ISSUER",
        "https://example.com/__clerk/ (a proxied Frontend API)",
        "https://example.com/__clerk/",
        "https://example.com/__clerk",
    ),
    _refused(
        "CLERK_ISSUER",
        "https://clerk.example.com/.well-known/jwks.json",
        f"{ISSUER_SAID}/.well-known/jwks.json",
        "leave out /.well-known and what follows",
    ),
    _refused(
        "CLERK_ISSUER",
        "https://clerk.example.com/.WELL-KNOWN/JWKS.JSON",
        f"{ISSUER_SAID}/.WELL-KNOWN/JWKS.JSON",
        "leave out /.well-known and what follows",
    ),
    _refused(
        "CLERK_ISSUER",
        "https://clerk.example.com/jwks.json/",
        f"{ISSUER_SAID}/jwks.json/",
        "the address of a document, not an issuer",
    ),
    _refused("CLERK_ISSUER", "https://api.clerk.com", "https://api.clerk.com", "an address of the Backend API"),
    _refused("CLERK_ISSUER", "clerk.example.com", "clerk.example.com", "https:// is missing in front"),
    _refused(
        "CLERK_ISSUER",
        "https://calm-cat-1.accounts.dev",
        "https://calm-cat-1.accounts.dev",
        "the address of the Account Portal",
    ),
    _refused(
        "CLERK_ISSUER", "https://user@clerk.example.com", "https://user@clerk.example.com", "a user or a password in it"
    ),
    _refused("CLERK_ISSUER", "pk_test_…", PUBLISHABLE_KEY, "which belongs in CLERK_PUBLISHABLE_KEY"),
    _taken(
        "CLERK_JWKS_URL",
        "https://clerk.example.com/.well-known/jwks.json",
        f"{ISSUER_SAID}/.well-known/jwks.json",
        f"{ISSUER_SAID}/.well-known/jwks.json",
    ),
    _refused(
        "CLERK_JWKS_URL",
        "https://api.clerk.com/v1/jwks without CLERK_SECRET_KEY",
        "https://api.clerk.com/v1/jwks",
        "the holder of CLERK_SECRET_KEY, which is not set",
    ),
    _refused(
        "CLERK_JWKS_URL",
        "https://api.clerk.com/jwks",
        "https://api.clerk.com/jwks",
        "serves its keys at https://api.clerk.com/v1/jwks",
    ),
    _refused("CLERK_JWKS_URL", "https://clerk.example.com", ISSUER_SAID, "no path"),
    _refused(
        "CLERK_JWKS_URL",
        "https://clerk.example.com/.well-known/openid-configuration",
        f"{ISSUER_SAID}/.well-known/openid-configuration",
        "a discovery document",
    ),
    _taken("CLERK_API_URL", "https://api.clerk.com/v1/", "https://api.clerk.com/v1/", "https://api.clerk.com"),
    _refused(
        "CLERK_API_URL",
        "https://calm-cat-1.clerk.accounts.dev",
        "https://calm-cat-1.clerk.accounts.dev",
        "an address of the Frontend API",
    ),
    _taken("PORT", "3002 with blanks or CRLF", " 3002 \r\n", 3002),
    _taken("PORT", '"3002"', '"3002"', 3002),
    _taken("PORT", "03002", "03002", 3002),
    _taken("PORT", "empty", "", 3002),
    _refused(
        "PORT",
        "tcp://10.0.0.1:3002 (a service link of Kubernetes)",
        "tcp://10.0.0.1:3002",
        "a URL, not a number from 1 to 65535",
    ),
    _refused("PORT", "0", "0", "not a number from 1 to 65535"),
    _refused("PORT", "65536", "65536", "not a number from 1 to 65535"),
    _refused("PORT", "0099999999", "0099999999", "not a number from 1 to 65535"),
    _refused("PORT", "+3002", "+3002", "not a number from 1 to 65535"),
    _refused("PORT", "3002.0", "3002.0", "not a number from 1 to 65535"),
    _refused("PORT", "3002/tcp", "3002/tcp", "not a number from 1 to 65535"),
    _refused("PORT", "0.0.0.0:3002", "0.0.0.0:3002", "not a number from 1 to 65535"),
    _refused("PORT", "$PORT (not replaced)", "$PORT", PLACEHOLDER),
)
