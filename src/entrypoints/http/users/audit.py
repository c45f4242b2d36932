"""One line for each attempt to act on a user: who, what, whom, and what came of it. Ids alone, never personal data."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from attrs import define
from litestar.types import Scope

from domain.user import UserId
from entrypoints.http.middleware.request_middleware import id_of_request, note_outcome
from entrypoints.http.problems import problem_of
from entrypoints.http.users.admission import Caller, described

log = structlog.get_logger("audit")


@define
class AuditedAction:
    """What is known of it so far; whatever was refused before it was known stays out of the line."""

    caller: Caller | None = None
    user_id: UserId | None = None
    outcome: str = "interrupted"


@contextmanager
def audited(scope: Scope, action: str) -> Iterator[AuditedAction]:
    """Write the line when the attempt is over, however it ends."""
    attempt = AuditedAction()
    write = log.warning
    try:
        yield attempt
        note_outcome(scope, attempt.outcome)
        write = log.info
    except Exception as error:
        attempt.outcome = problem_of(error).code
        raise
    finally:
        write(
            "user_action",
            request_id=id_of_request(scope),
            action=action,
            user_id=attempt.user_id,
            outcome=attempt.outcome,
            **described(attempt.caller),
        )
