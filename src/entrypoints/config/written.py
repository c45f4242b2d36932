"""Values as people and hosts write them: what encloses one is dropped, and a refused one is explained by its form."""

import base64
import re
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad"  # byte-order mark, zero-width, soft hyphen: `str.strip` leaves them

_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "\u2018": "\u2019", "„": "“", "«": "»"}

_KINDS = (
    (re.compile(r"sk_(?:test|live)_"), "a secret key of Clerk's Backend API", "CLERK_SECRET_KEY"),
    (re.compile(r"pk_(?:test|live)_"), "a publishable key of Clerk", "CLERK_PUBLISHABLE_KEY"),
    (re.compile(r"whsec_"), "a webhook signing secret", "CLERK_WEBHOOK_SECRET"),
    (re.compile(r"-----BEGIN (?:RSA )?PUBLIC KEY"), "a public key in PEM", "CLERK_JWT_KEY"),
    (re.compile(r"postgres(?:ql)?://"), "the URL of a database", "DATABASE_URL"),
    (re.compile(r"eyJ[A-Za-z0-9_-]+\.eyJ"), "a token (JWT)", ""),
)
"""What a value begins with, what it is then, and where it belongs, if anywhere."""

_LINE = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*[=:]\s*\S")

_KEY = re.compile(r"(?:sk_|pk_)(?:test_|live_)?|whsec_|org_")
_UNFILLED = re.compile(r"[xX0_-]{3,}|1234\d*")
_PLACEHOLDER = re.compile(
    r"""
      .*(?:…|\.{3}|•{3}|\*{3}).*                       # cut short, or masked
    | <[^<>]*> | \{\{.*\}\} | \$\{.*\} | \$\(.*\)    # a template that was not filled in
    | \$[A-Z_]+ | %[A-Z_]+%                           # a reference that no shell replaced
    | (?:op|vault|secret|ssm|env|ref\+[a-z]+)://.*    # a reference into a store of secrets
    | (?:your|my|the|replace|change|insert|put|add|paste)(?:[ _-].*|me|this)?
    | (?:example|placeholder|secret|key|value|todo|tbd|fixme|none|null|undefined|xxx+)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

_TEMPLATE = re.compile(
    r"""
      <[^<>]+> | \$?\{\{.*\}\} | \$\{[^{}]+\} | \$\(\w+\)  # nobody filled it in
    | (?-i:\[[A-Z][A-Z _-]*\]) | \[your[^\[\]]*\] | \{your[^{}]*\} | your[ _-][\w-]+
    | [*•]{3,} | … | \.{3}                               # masked by whoever showed it
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What a part of a connection string holds in its place; simple words such as `secret` are somebody's password."""


def forgiving(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Read a text as it is (a password may begin with a quote), or else without what encloses it."""

    def parse_either(text: str) -> T:
        try:
            return parse(text)
        except ValueError:
            bare = unwrapped(text)
            if bare in ("", text):  # no parser is asked about nothing
                raise
            return parse(bare)

    return parse_either


def unwrapped(text: str) -> str:
    """Return the text without the quotes and invisible characters around it."""
    bare = text.strip().strip(_INVISIBLE).strip()
    if len(bare) > 1 and _QUOTES.get(bare[0]) == bare[-1]:
        return unwrapped(bare[1:-1])
    return bare


def is_placeholder(text: str) -> bool:
    """Tell whether the text, or what follows the prefix of a key, stands for a value that was never filled in."""
    bare = unwrapped(text)
    if key := _KEY.match(bare):
        bare = bare[key.end() :]
        if _UNFILLED.fullmatch(bare) or not bare:
            return True
    return bool(_PLACEHOLDER.fullmatch(bare))


def is_template(text: str) -> bool:
    """Tell whether a part of a connection string was never filled in."""
    return bool(_TEMPLATE.fullmatch(text))


def explain(variable: str, text: str, problem: str) -> str:
    """Return what a refused text holds, where that can be recognised, else `problem`; the text is never repeated."""
    bare = unwrapped(text)
    if is_placeholder(bare):
        return "the placeholder of an example, not a value: put the real one in its place"
    for begins, what, belongs in _KINDS:
        if begins.match(bare) and belongs != variable:
            return f"it is {what}, which belongs in {belongs}" if belongs else f"it is {what}"
    if (decoded := from_base64(bare)) and any(kind.match(decoded) for kind, *_ in _KINDS):
        return "encoded in base64 once too often: what is in it is the value"
    if _LINE.match(bare) and "://" not in bare.partition("=")[0]:
        name = re.split(r"[=:]", bare, maxsplit=1)[0].removeprefix("export").strip()
        if name.upper() == variable or name.isupper():
            return "a whole line with a name in front: only what follows the name is the value"
    hidden = next((at for at, character in enumerate(bare, 1) if character in _INVISIBLE), None)
    if hidden is not None:
        return f"an invisible character is in it, at position {hidden}"
    return problem


def from_base64(bare: str) -> str:
    try:
        return base64.b64decode("".join(bare.split()), validate=True).decode()
    except ValueError:
        return ""
