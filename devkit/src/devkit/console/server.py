"""The console over HTTP, beside the stand-in's own API: only for browsers on this machine."""

import asyncio
import hmac
import json
import re
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from attrs import field, frozen

from devkit.console.records import Records, payload_of
from devkit.console.views import Parameters, Views
from devkit.fake_clerk.answer import FakeResponse
from devkit.fake_clerk.assembly import StandIn
from devkit.fake_clerk.control import DROP_WEBHOOKS

PREFIX = "/console/"
TOKEN = "x-console-token"  # noqa: S105  # a header's name

_FOLDER = Path(__file__).parent / "page"
_KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css"}
_FILES = {
    path.relative_to(_FOLDER).as_posix(): _KINDS[path.suffix] for path in _FOLDER.rglob("*.*") if path.suffix in _KINDS
}
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.ASCII)
_TOGETHER_S = 0.02
_LOOK_S = 1.0
"""A client that is gone shows at the next write, and users that other programs seed announce nothing."""


@frozen(kw_only=True)
class CommandLine:
    """How the page writes commands for a terminal; no secret is in them."""

    service: str
    """URL of the service."""
    secret_key: str
    """What a shell makes the Backend API's key of: `$(cat var/dev/clerk-secret-key)`."""
    program: str = "auth-service"
    data_dir: str = ""
    """`--data-dir …`, where it is not the usual one."""


@frozen
class ConsoleServer:
    """Answers requests: the page at `/`, what is below `/console/`, and by `StandIn.api` whatever else is asked.

    Args:
        stand_in: whose users are shown and changed.
        records: what is shown.
        commands: for "copy as".
    """

    stand_in: StandIn
    secret_key: str = field(repr=False)
    records: Records
    commands: CommandLine
    _token: str = field(factory=lambda: secrets.token_urlsafe(32), repr=False)

    def answer(  # noqa: PLR0911  # one for each path
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> FakeResponse:
        """Answer a request; the arguments are those of `FakeBackendApi.answer`."""
        path, _, query = target.partition("?")
        if path != "/" and not path.startswith(PREFIX):
            return self.stand_in.api.answer(method, target, headers, body)
        if refusal := _refused(path, headers):
            return _text(HTTPStatus.FORBIDDEN, refusal)
        match method, path.removeprefix(PREFIX):
            case "GET", "/":
                return self._page()
            case "GET", "live":
                return self._live(Parameters.of(query))
            case "POST", "call":
                return self._call(headers, body)
            case "GET", name if name in _FILES:
                return _respond(_FILES[name], (_FOLDER / name).read_bytes())
            case _, "call":
                return _text(HTTPStatus.METHOD_NOT_ALLOWED, "This takes POST.", {"allow": "POST"})
            case _, name if name in ("/", "live", *_FILES):
                return _text(HTTPStatus.METHOD_NOT_ALLOWED, "This takes GET and HEAD.", {"allow": "GET, HEAD"})
        return _text(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _page(self) -> FakeResponse:
        nonce = secrets.token_urlsafe(16)
        known = {
            "token": self._token,
            "service": self.commands.service,
            "secret_key": self.commands.secret_key,
            "program": self.commands.program,
            "data_dir": self.commands.data_dir,
        }
        page = (_FOLDER / "index.html").read_text(encoding="utf-8")
        # `</` would end a script element, even in a string.
        page = page.replace("__KNOWN__", json.dumps(known).replace("<", "\\u003c")).replace("__NONCE__", nonce)
        policy = (
            f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return _respond("text/html", page.encode(), headers={"content-security-policy": policy})

    def _live(self, parameters: Parameters) -> FakeResponse:
        if parameters.user:
            self.records.dirty.add(parameters.user)
            self.records.touch()
        return FakeResponse(
            headers={**_GUARDS, "content-type": "text/event-stream; charset=utf-8"}, stream=self._views(parameters)
        )

    async def _views(self, parameters: Parameters) -> AsyncGenerator[bytes]:
        views = Views(self.records, self.stand_in.instance)
        shown = b""
        self.records.watchers += 1
        try:
            yield b"retry: 500\n\n"
            while True:
                changed = self.records.changed
                document = msgspec.json.encode(views.view(parameters))
                # A comment is ignored by the client; sending it fails if the client has disconnected.
                yield b"data: " + document + b"\n\n" if document != shown else b":\n\n"
                shown = document
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), _LOOK_S)
                    await asyncio.sleep(_TOGETHER_S)  # a burst is shown at once
        finally:
            self.records.watchers -= 1

    def _call(self, headers: Mapping[str, str], body: bytes) -> FakeResponse:
        """Carry out a request to the stand-in's API, with its key: `{"method", "path", "body", "drop"}`."""
        own = f"http://{headers.get('host')}"
        given = headers.get(TOKEN, "").encode()
        if headers.get("origin") != own or not hmac.compare_digest(given, self._token.encode()):
            return _text(HTTPStatus.FORBIDDEN, "Only the page itself may do this: load it again.")
        try:
            call = msgspec.json.decode(body, type=_Call)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _text(HTTPStatus.BAD_REQUEST, str(error))
        answer = self.stand_in.api.answer(
            call.method,
            call.path,
            {"authorization": f"Bearer {self.secret_key}", **({DROP_WEBHOOKS: "drop"} if call.drop else {})},
            b"" if call.body is None else msgspec.json.encode(call.body),
        )
        self.records.touch()
        return _respond("application/json", msgspec.json.encode(_told(answer)))


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    method: str
    path: str
    body: dict[str, Any] | None = None
    drop: bool = False


def _refused(path: str, headers: Mapping[str, str]) -> str | None:
    # Another name for this address is another site's, whose script could read what is here (DNS rebinding).
    if not _LOOPBACK.fullmatch(headers.get("host", "")):
        return "Open this page as http://localhost:... or http://127.0.0.1:..."
    if path != "/" and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "This is for the page itself."
    return None


def _told(answer: FakeResponse) -> dict[str, Any]:
    """Return what the page may know of an answer: users carry private metadata, and tokens are secrets."""
    document = payload_of(answer.body)
    found = document if isinstance(document, dict) else {}
    error: dict[str, Any] = next(iter(found.get("errors", [])), {})
    return {
        "status": answer.status,
        "error": error.get("long_message") or error.get("message"),
        "id": found.get("id"),
    }


_GUARDS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def _respond(
    kind: str, body: bytes, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> FakeResponse:
    own = {**_GUARDS, "content-type": f"{kind}; charset=utf-8", **(headers or {})}
    return FakeResponse(status=status, headers=own, body=body)


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> FakeResponse:
    return _respond("text/plain", f"{text}\n".encode(), status, headers)
