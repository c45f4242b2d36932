"""`auth-service trigger`: sign and send a webhook as Clerk does."""

import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import urlunsplit

import httpx
import msgspec
from attrs import field, frozen
from cyclopts import Parameter

from devkit.fake_clerk import ClerkStandIn
from devkit.fake_clerk.client import StandInClient, stand_in_of
from devkit.fake_clerk.deliveries import DROPPED, FORGERS_SECRET
from devkit.fake_clerk.samples import sample_event
from devkit.fake_clerk.signing import sign_webhook
from devkit.local.environment import DATA_DIR, load_beside_dev
from devkit.settings import TriggerSettings
from domain.user import InvalidUserIdError, parse_user_id
from entrypoints.cli.exit_codes import EX_NOT_DONE, EX_UNAVAILABLE, EX_USAGE
from entrypoints.cli.options import between
from entrypoints.cli.terminal import fail
from entrypoints.config import parsing

EventType = Literal[
    "user.created", "user.updated", "user.deleted", "session.ended", "session.removed", "session.revoked"
]

ANSWER_S = 30.0


@frozen(kw_only=True)
class _Delivery:
    """A delivery, which may be sent several times under the same id."""

    event: str
    user_id: str
    about: str
    """Id of the user or the session, for messages."""
    svix_id: str
    body: bytes = field(repr=False)


def trigger(  # noqa: C901, PLR0912, PLR0913  # options of a command
    event: EventType | None = None,
    /,
    *,
    again: Annotated[Sequence[str], Parameter(negative="")] = (),
    user: str | None = None,
    session: str | None = None,
    email: str | None = None,
    changes: Annotated[Sequence[str], Parameter(name="--set", negative="")] = (),
    data: Path | None = None,
    times: Annotated[int, between(1, 1_000_000)] = 1,
    drop: Annotated[bool, Parameter(negative="")] = False,
    forged: Annotated[bool, Parameter(negative="")] = False,
    url: str | None = None,
    data_dir: Path = DATA_DIR,
) -> None:
    """Sign a Clerk-shaped webhook and send it to a running service.

    If a stand-in for Clerk runs, as with `auth-service dev`, it stores the user too, and `user.updated` changes the
    stored user; otherwise nothing is stored between two calls. Needs the service's CLERK_WEBHOOK_SECRET, from the
    environment, `.env`, or a running `auth-service dev`. Exit status 1: the answer is not 2xx.

    Parameters
    ----------
    event
        The type of event.
    again
        Instead of an event: svix-id of a delivery that the stand-in has stored, to send it again. May be repeated:
        they are sent in this order, each after the answer to the previous one.
    user
        Id of the user (`user_…`); a new one by default.
    session
        Id of the session, for `session.…` (`sess_…`, the `sid` of its tokens); a new one by default.
    email
        The user's primary email address.
    changes
        `field=value` of Clerk's user object; may be repeated. The value is JSON, or else text:
        `--set banned=true --set first_name=Grace --set 'public_metadata={"plan": "pro"}'`.
    data
        JSON file with Clerk's user or session object, or with a whole event as Clerk's dashboard shows it, instead of
        the sample.
    times
        Send the same delivery this number of times, as Clerk does if it got no answer.
    drop
        Send nothing: only the stand-in gets the change, as if the webhook were lost.
    forged
        Sign with another secret: the service must refuse it. The stand-in does not get the change.
    url
        URL of the service or of a webhook endpoint. By default the service on this machine (HOST, PORT).
    data_dir
        Data folder of `auth-service dev`.
    """
    settings = load_beside_dev(TriggerSettings, data_dir)
    secret = settings.webhooks.clerk_webhook_secret.get_secret_value()[0].written
    clerk = ClerkStandIn(secret)
    now_ms = time.time_ns() // 1_000_000
    stand_in = stand_in_of(settings.clerk_api)
    try:
        address = endpoint(url or settings.http.base_url)
    except ValueError as error:
        fail(f"--url {url}: {error}.", EX_USAGE)
    sender = _Sender(url=address, secret=FORGERS_SECRET if forged else secret, stand_in=stand_in, forged=forged)
    if again:
        if event or user or session or email or changes or data or drop:
            fail("--again sends a stored delivery: it can be combined only with --times, --forged and --url.", EX_USAGE)
        for delivery in [_remembered(stand_in, svix_id) for svix_id in again]:
            sender.send(delivery, times)
        return
    if event is None:
        fail("Name an event, such as user.created, or a delivery with --again.", EX_USAGE)
    if drop and (forged or times > 1 or stand_in is None):
        fail("--drop needs a stand-in for Clerk, and cannot be combined with --forged or --times.", EX_USAGE)
    found = _read(data) if data else None
    of_session = event.startswith("session.")
    if session and not of_session:
        fail(f"{event} has no session: --session cannot be used with it.", EX_USAGE)
    if email and event not in {"user.created", "user.updated"}:
        fail(f"{event} has no email: --email cannot be used with it.", EX_USAGE)
    try:
        named = (found or {}).get("user_id" if of_session else "id")
        who = parse_user_id(user or named or clerk.new_user_id(now_ms=now_ms))
    except InvalidUserIdError as error:
        fail(f"--user {user}: {error}." if user else f"{data}: its id is {error}.", EX_USAGE)
    if of_session:
        about = session or (found or {}).get("id") or clerk.new_session_id(now_ms=now_ms)
        sample = clerk.ended_session(about, who, event.partition(".")[2], now_ms=now_ms)
        body = {**(found or sample), "id": about, "user_id": who, **changed(changes)}
    elif event == "user.deleted":
        if changes:
            fail("user.deleted has only the id of the user: --set cannot be used with it.", EX_USAGE)
        about, body = who, {**(found or clerk.deleted_user(who)), "id": who}
    else:
        if found is None and event == "user.updated" and stand_in and (known := _known(stand_in, who)):
            found = {**known, "updated_at": max(now_ms, known["updated_at"] + 1)}
        about, body = who, _user(clerk, who, found, email=email, now_ms=now_ms) | changed(changes)
    delivery = _Delivery(
        event=event,
        user_id=who,
        about=about,
        svix_id=f"msg_{secrets.token_hex(13)}",
        body=msgspec.json.encode(sample_event(event, body, timestamp_ms=now_ms)),
    )
    if stand_in and not forged:
        _tell(stand_in, event, body)
    if drop:
        sender.report(delivery, outcome=DROPPED)
        print(f"{event} {about} -> dropped")
    else:
        sender.send(delivery, times)


def _remembered(stand_in: StandInClient | None, svix_id: str) -> _Delivery:
    if stand_in is None:
        fail("--again needs the stand-in for Clerk, which remembers deliveries: start `auth-service dev`.", EX_USAGE)
    try:
        found = stand_in.delivery(svix_id)
    except httpx.HTTPError:
        fail(f"The stand-in for Clerk at {stand_in.url} does not answer.", EX_UNAVAILABLE)
    if found is None:
        fail(
            f"The stand-in for Clerk has no delivery {svix_id}: it keeps the last 10,000 since its start.", EX_NOT_DONE
        )
    return _Delivery(
        event=found["event"],
        user_id=found["user_id"],
        about=found["user_id"],
        svix_id=found["svix_id"],
        body=found["body"].encode(),
    )


def _user(
    clerk: ClerkStandIn, who: str, found: dict[str, Any] | None, *, email: str | None, now_ms: int
) -> dict[str, Any]:
    sample = clerk.user(who, now_ms=now_ms, email=email)
    body = {**(sample if found is None else found), "id": who}
    if found is not None and email:
        body |= {name: sample[name] for name in ("email_addresses", "primary_email_address_id")}
    return body


def _known(stand_in: StandInClient, who: str) -> dict[str, Any] | None:
    try:
        return stand_in.user(who)
    except httpx.HTTPError:
        return None  # reported below


def _tell(stand_in: StandInClient, event: str, body: Mapping[str, Any]) -> None:
    """Apply the change at the stand-in first, as at Clerk; the webhook is sent even if that fails."""
    try:
        stand_in.take_in(event, body)
    except httpx.HTTPStatusError as error:
        print(f"The stand-in for Clerk refuses the change ({error.response.status_code}).", file=sys.stderr)
    except httpx.HTTPError:
        print(f"The stand-in for Clerk at {stand_in.url} does not answer: it did not get the change.", file=sys.stderr)


def endpoint(url: str) -> str:
    """Return the URL for webhooks: to one without a path, the service's path is added."""
    parts = parsing.split_url(url)
    without_path = parts.scheme in ("http", "https") and parts.netloc and parts.path in ("", "/")
    return urlunsplit(parts._replace(path="/webhooks/clerk")) if without_path else url


def changed(changes: Sequence[str]) -> dict[str, Any]:
    """Read `field=value` texts; exits if one has another form."""
    fields: dict[str, Any] = {}
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator or not name:
            fail(f"--set {change}: expected field=value, such as --set first_name=Grace.", EX_USAGE)
        try:
            fields[name] = json.loads(text)
        except (ValueError, RecursionError):
            fields[name] = text
    return fields


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        fail(f"{path} cannot be read as JSON: {error}.", EX_USAGE)
    if isinstance(found, dict) and isinstance(found.get("data"), dict) and "type" in found:
        found = found["data"]
    if not isinstance(found, dict):
        fail(
            f"{path} holds no JSON object: expected Clerk's user object, or an event with the object in `data`.",
            EX_USAGE,
        )
    return found


@frozen(kw_only=True)
class _Sender:
    url: str
    secret: str = field(repr=False)
    stand_in: StandInClient | None
    forged: bool

    def send(self, delivery: _Delivery, times: int) -> None:
        for number in range(1, times + 1):
            self._send(delivery, number)

    def report(self, delivery: _Delivery, **what: Any) -> None:
        """Report the attempt to the console; errors are ignored."""
        if self.stand_in is None:
            return
        attempt = {
            "svix_id": delivery.svix_id,
            "event": delivery.event,
            "user_id": delivery.user_id,
            "url": self.url,
            "number": 0,
            "body": delivery.body.decode(),
            "at_ms": time.time_ns() // 1_000_000,
            "forged": self.forged,
        }
        with suppress(httpx.HTTPError):
            self.stand_in.report({**attempt, **what})

    def _send(self, delivery: _Delivery, number: int) -> None:
        at_ms, began, trace_id = time.time_ns() // 1_000_000, time.perf_counter(), secrets.token_hex(16)
        headers = {
            "content-type": "application/json",
            "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",
            **sign_webhook(self.secret, delivery.svix_id, at_ms // 1000, delivery.body),
        }
        try:
            response = httpx.post(self.url, headers=headers, content=delivery.body, timeout=ANSWER_S, trust_env=False)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            fail(f"--url {self.url}: {error}", EX_USAGE)
        except httpx.TransportError as error:
            self.report(delivery, number=number, at_ms=at_ms, trace_id=trace_id, outcome=type(error).__name__)
            self._no_answer(error)
        self.report(
            delivery,
            number=number,
            at_ms=at_ms,
            took_ms=(time.perf_counter() - began) * 1000,
            trace_id=trace_id,
            outcome=response.status_code,
            answer=response.text,
        )
        print(f"{delivery.event} {delivery.about} -> {response.status_code} {response.text}", flush=True)
        if response.status_code == httpx.codes.BAD_REQUEST and not self.forged:
            print("Does CLERK_WEBHOOK_SECRET here equal that of the service?", file=sys.stderr)
        if not response.is_success:
            sys.exit(EX_NOT_DONE)

    def _no_answer(self, error: httpx.TransportError) -> NoReturn:
        fail(
            f"No answer from {self.url} ({str(error) or type(error).__name__}).\n"
            "Start the service with `auth-service dev`, or name its URL with --url.",
            EX_UNAVAILABLE,
        )
