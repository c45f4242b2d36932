"""Why the service answered a webhook as it did, in one sentence."""

from http import HTTPStatus
from typing import TypeAlias

import msgspec
from attrs import frozen

from application.users.representation import rfc3339
from devkit.fake_clerk.deliveries import DROPPED, DeliveryAttempt
from domain.session import RevokedSession
from domain.snapshot import Deletion, Snapshot
from domain.source_version import SourceVersion
from domain.user import Tombstone

News: TypeAlias = Snapshot | Deletion | RevokedSession | None
"""What a webhook tells; `None` of what the service ignores or cannot use."""

Current: TypeAlias = SourceVersion | Tombstone | None
"""What a row holds: the place in Clerk's time, or that the user was deleted."""

APPLIED = ("created", "updated", "deleted", "revoked")
OUTCOMES = (*APPLIED, "unchanged", "stale", "ignored", "refused", "failed", "dropped")
"""What comes of a delivery: the service's own outcomes, a 4xx, no 2xx, never sent."""


@frozen(kw_only=True)
class Result:
    """What the answer says: one of `OUTCOMES`, and the words of a problem."""

    outcome: str
    detail: str = ""


def outcome_of(attempt: DeliveryAttempt) -> Result:
    """Read the answer to an attempt."""
    if attempt.outcome == DROPPED:
        return Result(outcome="dropped")
    if not isinstance(attempt.outcome, int):
        return Result(outcome="failed", detail=f"No answer: {attempt.outcome}")
    try:
        answer = msgspec.json.decode(attempt.answer or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    if attempt.succeeded:
        outcome = answer.get("outcome")
        return Result(outcome=outcome) if outcome in OUTCOMES else Result(outcome="ignored", detail="Not our service")
    status = f"{attempt.outcome} {_phrase(attempt.outcome)}"
    detail = f"{status}: {answer['detail']}" if isinstance(answer.get("detail"), str) else status
    refused = HTTPStatus.BAD_REQUEST <= attempt.outcome < HTTPStatus.INTERNAL_SERVER_ERROR
    return Result(outcome="refused" if refused else "failed", detail=detail)


def current_after(current: Current, news: News, outcome: str) -> Current:
    """Return what the row holds after a delivery with this outcome; `None`: unknown."""
    match news:
        case Snapshot() if outcome in ("created", "updated"):
            return news.source
        case Snapshot() if outcome == "unchanged" and isinstance(current, SourceVersion):
            return max(current, news.source)
        case Deletion() if outcome == "deleted":
            return Tombstone(id=news.id, version=0, deleted_at=news.deleted_at)
    return current


def why(  # noqa: PLR0911, PLR0913  # one sentence for each outcome, of all that is known
    attempt: DeliveryAttempt,
    news: News,
    result: Result,
    current: Current,
    *,
    changed: list[str] | None,
    version: int | None,
) -> str:
    """Return the reason.

    Args:
        attempt: what was sent.
        news: what it says.
        result: what was answered.
        current: what the row held.
        changed: fields that the event of this delivery names; `None` while there is no event.
        version: of that event.
    """
    match result.outcome:
        case "created":
            return "The first event of this user" + (f": version {version}" if version else "")
        case "updated":
            return _updated(changed, version)
        case "deleted":
            return "Every personal field is erased; a tombstone stays" + (f", version {version}" if version else "")
        case "revoked":
            return "Tokens of this session are refused from now on"
        case "unchanged":
            return _unchanged(news, current, attempt.at_ms)
        case "stale":
            return _stale(news, current, attempt.at_ms)
        case "ignored":
            return result.detail or f"{attempt.event} changes no stored field"
        case "dropped":
            return "Lost in transit: the service never received it"
    if attempt.forged:
        return f"{result.detail.rstrip('.')}. Signed with another secret"
    return result.detail.rstrip(".") + _retry(attempt)


def time_of(milliseconds: int, sent_ms: int) -> str:
    """Return a time in UTC: `10:00:01.200`, or `2026-11-29 10:00:01.200` if the delivery was sent on another day."""
    date, time = rfc3339(milliseconds)[:23].split("T")
    return time if date == rfc3339(sent_ms)[:10] else f"{date} {time}"


def source_time(news: News) -> int | None:
    """Return when it changed at Clerk, milliseconds since 1970."""
    match news:
        case Snapshot():
            return news.source.updated_at
        case Deletion():
            return news.deleted_at
        case RevokedSession():
            return news.revoked_at
    return None


def _updated(changed: list[str] | None, version: int | None) -> str:
    if changed is None:
        return "Newer than the row, and different from it"
    return f"{', '.join(changed)} changed: version {version}"


def _unchanged(news: News, current: Current, sent_ms: int) -> str:
    match news, current:
        case Deletion(), Tombstone():
            return f"Deleted already, at {time_of(current.deleted_at, sent_ms)}"
        case RevokedSession(), _:
            return "This session was revoked already"
        case Snapshot(), SourceVersion() if news.source == current:
            return f"The same state again: {time_of(news.source.updated_at, sent_ms)} was applied before"
    return "Newer than the row, but no stored field differs"


def _stale(news: News, current: Current, sent_ms: int) -> str:
    match news, current:
        case Snapshot(), Tombstone():
            return f"The user was deleted at {time_of(current.deleted_at, sent_ms)}: nothing brings a deleted user back"
        case Snapshot(), SourceVersion():
            mine, theirs = news.source, current
            if mine.updated_at < theirs.updated_at:
                late, held = time_of(mine.updated_at, sent_ms), time_of(theirs.updated_at, sent_ms)
                return f"{late} is older than {held}, which the row held"
            if mine.timestamp < theirs.timestamp:
                same = f"Both changed at {time_of(mine.updated_at, sent_ms)}"
                late, held = time_of(mine.timestamp, sent_ms), time_of(theirs.timestamp, sent_ms)
                return f"{same}, and the event of {late} is older than {held}"
            return f"Both are of {time_of(mine.updated_at, sent_ms)}: the digest of the content decides which one stays"
    return "Older than the row"


def _retry(attempt: DeliveryAttempt) -> str:
    if attempt.retry_in_s is None:
        return ". Given up" if attempt.number > 1 else ""
    return f". Sent again in {attempt.retry_in_s:g} s"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
