"""Ready-made HTTP requests: signed webhooks, and GETs with session tokens."""

import itertools
import time
from collections.abc import Mapping, Sequence

from bench.stage import ISSUER, Stage
from devkit.fake_clerk import ClerkStandIn
from devkit.fake_clerk.session_tokens import mint_session_token

_clock_ms = itertools.count(time.time_ns() // 1_000_000)
"""When things changed at the source: never twice the same, so that no webhook is a repetition."""


def user_ids(stage: Stage, count: int) -> list[str]:
    clerk = ClerkStandIn(stage.keys.webhook_secret)
    now_ms = time.time_ns() // 1_000_000
    return [clerk.new_user_id(now_ms=now_ms) for _ in range(count)]


def webhooks(stage: Stage, users: Sequence[str], count: int) -> tuple[list[bytes], list[tuple[str, int]]]:
    """Return `count` webhooks about these users in turn, and of each whose it is and its `updated_at`."""
    clerk = ClerkStandIn(stage.keys.webhook_secret)
    requests, news = [], []
    for number, user_id in zip(range(count), itertools.cycle(users), strict=False):
        changed_ms = next(_clock_ms)
        user = clerk.user(user_id, now_ms=changed_ms, first_name=f"Ada {number}")
        event = "user.created" if number < len(users) else "user.updated"
        sent = clerk.webhook(event, user, happened_ms=changed_ms, sent_s=int(time.time()))
        requests.append(_request("POST /webhooks/clerk", sent.headers, sent.body))
        news.append((user_id, changed_ms))
    return requests, news


def session_ends(stage: Stage, users: Sequence[str]) -> tuple[list[bytes], list[str]]:
    """Return a webhook about the end of a session of each of these users, and the sessions."""
    clerk = ClerkStandIn(stage.keys.webhook_secret)
    now_ms = time.time_ns() // 1_000_000
    sessions = [clerk.new_session_id(now_ms=now_ms) for _ in users]
    requests = []
    for user_id, session_id in zip(users, sessions, strict=True):
        session = clerk.ended_session(session_id, user_id, "ended", now_ms=now_ms)
        sent = clerk.webhook("session.ended", session, happened_ms=now_ms, sent_s=int(time.time()))
        requests.append(_request("POST /webhooks/clerk", sent.headers, sent.body))
    return requests, sessions


def session_tokens(
    stage: Stage, users: Sequence[str], *, private_key: str | None = None, authorized_party: str | None = None
) -> list[str]:
    """Return a token of each user, good for an hour."""
    key, now_s = private_key or stage.keys.private_key, int(time.time())
    return [
        mint_session_token(
            key,
            user_id=user,
            issuer=ISSUER,
            now_s=now_s,
            lifetime_s=3600,
            authorized_party=authorized_party,
        )
        for user in users
    ]


def reads(tokens: Sequence[str], path: str = "/v1/me") -> list[bytes]:
    return [_request(f"GET {path}", {"authorization": f"Bearer {token}"}, b"") for token in tokens]


def _request(line: str, headers: Mapping[str, str], body: bytes) -> bytes:
    named = {**headers, "host": "127.0.0.1", "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{line} HTTP/1.1\r\n{head}\r\n".encode() + body
