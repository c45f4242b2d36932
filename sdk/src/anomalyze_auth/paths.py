"""Find the rule for a request by the path that the application routes by, and refuse ambiguous paths."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import attrs

from anomalyze_auth.access import Access, Requirement, Rule
from anomalyze_auth.problems import PATH_AMBIGUOUS, Refused

# What some programs resolve, cut or decode and others take literally: control characters and line ends,
# bytes that are not UTF-8 (decoded to U+FFFD), backslashes, escapes that are left after decoding, empty segments, and
# dot segments, also with parameters (`..;x`) or spaces.
_AMBIGUOUS = (
    re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff\\]"),
    re.compile(r"%(?:[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"),
    re.compile(r"/(?:/|\s*\.{1,2}\s*(?:[;?#/]|\Z))"),
)
_ORDINARY = re.compile(r"/|(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?")
"""A fast check for paths that are never ambiguous, as nearly all are; ten times cheaper than the full check."""
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
# What programs leave out that read parameters in each segment, or take a semicolon for the begin of a query.
_EXTRA = (re.compile(r"[?#].*|;[^/?#]*", re.DOTALL), re.compile(r"[?#;].*", re.DOTALL))
_NO_SLASH = "\ue000"
"""Stands for an encoded slash that is read as part of a segment: a private-use character, which no rule contains."""


def is_ambiguous(path: str) -> bool:
    """Whether programs read this decoded path, or a normalised form of it, in different ways."""
    if _ORDINARY.fullmatch(path):
        return False
    if not path.startswith("/"):
        return True
    return any(sign.search(reading) for reading in (path, *_loosely(path)) for sign in _AMBIGUOUS)


class Rules:
    """Which rule applies to a path: the exact one, else the longest prefix (`/admin/*`), else `default`.

    Paths are decoded and relative to the root path. A trailing slash is ignored; `/admin/*` covers
    `/admin` itself.

    Raises:
        ValueError: a path is ambiguous or a template (`/users/{id}`), has a `*` elsewhere than at the end of `/*`,
            or has two rules; or a rule is neither an `Access` nor a `Requirement`.
    """

    def __init__(self, rules: Mapping[str, Rule], default: Rule) -> None:
        self._rules = _Table(default=default)
        # For programs that ignore case, Unicode form, parameters and what looks like a query.
        self._loose_rules = _Table(default=default)
        given: tuple[object, ...] = (default, *rules.values())
        if strange := [rule for rule in given if not isinstance(rule, Access | Requirement)]:
            raise ValueError(f"A rule is an Access or a Requirement, not {strange[0]!r}.")
        for path, rule in rules.items():
            prefix = path.removesuffix("/*")
            if is_ambiguous(path) or any(sign in prefix for sign in "*{}<>;?#"):
                raise ValueError(f"A rule's path is like /reports or /reports/*, decoded, no template; not {path!r}.")
            self._rules.add(prefix, rule, under=prefix != path)
            for loose in _loosely(prefix):
                self._loose_rules.add(loose, rule, under=prefix != path)

    def of(self, scope: Mapping[str, Any]) -> Rule:
        """The rule for an HTTP request or a WebSocket handshake.

        Raises:
            Refused: 400; the path is ambiguous, or different rules apply to its readings.
        """
        sent = _sent_paths(scope)
        path = _routed_path(scope, sent)
        if path is None or any(reading is None or is_ambiguous(reading) for reading in {path, *sent}):
            raise Refused(PATH_AMBIGUOUS)
        rule = self._rules.find(path)
        # The second has encoded slashes as parts of segments. The first is `path`, unless something rewrote it.
        readings = [loose for reading in (path, *sent[1:]) if reading for loose in _loosely(reading)]
        if any(self._loose_rules.find(loose) != rule for loose in readings):
            raise Refused(PATH_AMBIGUOUS)
        return rule


@attrs.frozen
class _Table:
    default: Rule
    exact: dict[str, Rule] = attrs.field(factory=dict, init=False)
    under: dict[str, Rule] = attrs.field(factory=dict, init=False)

    @property
    def depth(self) -> int:
        return max((prefix.count("/") for prefix in self.under), default=0)

    def add(self, path: str, rule: Rule, *, under: bool) -> None:
        known = (self.under if under else self.exact).setdefault(_bare(path), rule)
        if known != rule:
            raise ValueError(f"There are two rules for {path}{'/*' if under else ''}.")

    def find(self, path: str) -> Rule:
        bare = _bare(path)
        if bare in self.exact:
            return self.exact[bare]
        # Only as deep as the rules: a path may have thousands of segments.
        first = bare.split("/", self.depth + 1)[: self.depth + 1]
        while len(first) > 1:
            if (prefix := "/".join(first)) in self.under:
                return self.under[prefix]
            first.pop()
        return self.under.get("/", self.default)


def _bare(path: str) -> str:
    return path.removesuffix("/") or "/"


def _loosely(path: str) -> set[str]:
    if _ORDINARY.fullmatch(path):
        return {path.lower()}
    folded = unicodedata.normalize("NFKC", path).casefold()
    return {extra.sub("", folded) for extra in _EXTRA}


def _routed_path(scope: Mapping[str, Any], sent: list[str | None]) -> str | None:
    """The path, relative to the root path, that the surrounding framework routes by; None if that is unknown."""
    path: str = scope["path"]
    if not _is_litestar(scope) or "route_handler" not in scope:
        return _below_root(path, scope)
    # Litestar calls middleware after routing: `path` is then relative, and below a mount it is only the remainder.
    handler = scope["route_handler"]
    if not getattr(handler, "is_mount", False):
        return path
    mounts = (route.path for route in scope["app"].routes if getattr(route, "route_handler", None) is handler)
    wholes = {_bare(f"{mount.rstrip('/')}/{path.strip('/')}") for mount in mounts}
    if len(wholes) > 1:
        wholes &= {_bare(reading) for reading in sent[:1] if reading}
    return wholes.pop() if len(wholes) == 1 else None


def _sent_paths(scope: Mapping[str, Any]) -> list[str | None]:
    """The path that the client sent, decoded; if it has encoded slashes, also with these as parts of segments.

    Empty if the server does not pass it on; None stands for a path that cannot be decoded.
    """
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return []
    if b"%" not in raw:
        return [_below_root(raw.decode("utf-8", "replace"), scope)]
    if _BROKEN_ESCAPE.search(raw):
        return [None]
    kept = unquote_to_bytes(_ENCODED_SLASH.sub(_NO_SLASH.encode(), raw)).decode("utf-8", "replace")
    spellings = [kept.replace(_NO_SLASH, "/"), kept] if _NO_SLASH in kept else [kept]
    return [_below_root(spelling, scope) for spelling in spellings]


def _below_root(path: str, scope: Mapping[str, Any]) -> str | None:
    """The path without the root path, which not every server includes; None where frameworks differ."""
    root: str = scope.get("root_path") or ""
    rest = path.removeprefix(root)
    if path.startswith(root) and rest[:1] in ("", "/"):
        return rest or "/"
    if not root.strip("/"):
        return path
    # Starlette uses any other path as it is. Litestar cuts at the root path wherever it occurs. Others remove
    # it as a text (`/apix` below `/api` is `x`), or route only paths that begin with it.
    if _is_litestar(scope):
        return path if root not in path else None
    return path if scope.get("app") is not None else None


def _is_litestar(scope: Mapping[str, Any]) -> bool:
    """Whether the innermost framework so far is Litestar; Starlette and FastAPI set only `app`, Quart neither."""
    return scope.get("app") is not None and scope["app"] is scope.get("litestar_app")
