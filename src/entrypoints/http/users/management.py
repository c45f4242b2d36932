"""What the routes below `/v1/users` share: the caller is admitted first, then users are looked at or acted on."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from attrs import frozen
from litestar import Request

from application.errors import UserDeletedError
from application.users.get_user import GetUser
from application.users.list_users import ListUsers
from application.users.manage_users import ManageUsers
from domain.decision import Decision
from entrypoints.config.service_keys import READ
from entrypoints.http.middleware.body import read_body
from entrypoints.http.middleware.request_middleware import id_of_request, note_outcome
from entrypoints.http.problems import USER_GONE, HttpError, problem_of
from entrypoints.http.users.admission import Admission, described
from entrypoints.http.users.requests import BODY_BYTES_AT_MOST, named_user

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

log = structlog.get_logger("audit")


@frozen(kw_only=True)
class Management:
    admission: Admission
    list_users: ListUsers
    get_user: GetUser
    manage_users: ManageUsers

    async def look(self, request: AnyRequest, question: Callable[[], Awaitable[T]]) -> T:
        """Answer the question of a caller who may ask it; it is not read before that."""
        await self.admission.admit(await self.admission.identify(request.scope["headers"]), READ)
        with _about_the_target():
            return await question()

    async def act(
        self,
        request: AnyRequest,
        target: str,
        action: str,
        perform: Callable[..., Awaitable[T]],
        read: Callable[[bytes], Sequence[Any]],
    ) -> T:
        """Perform an action (a scope, too) of a caller who may, and write the audit line, whatever comes of it.

        `perform` is of `ManageUsers`; `read` makes its arguments beside the user of the body.

        Who calls is decided before the first byte of the body is read. The line holds ids alone, and nothing that was
        refused before it was known.
        """
        caller, user_id, outcome, write = None, None, "interrupted", log.warning
        try:
            caller = await self.admission.identify(request.scope["headers"])
            user_id = named_user(target)
            await self.admission.admit(caller, action)
            body = await read_body(request.scope, request.receive, limit=BODY_BYTES_AT_MOST)
            with _about_the_target():
                result = await perform(self.manage_users, user_id, *read(body))
            outcome, write = result.outcome if isinstance(result, Decision) else "revoked", log.info
            note_outcome(request.scope, outcome)
        except Exception as error:
            outcome = problem_of(error).code
            raise
        finally:
            request_id = id_of_request(request.scope)
            who = {} if caller is None else described(caller)
            write("user_action", request_id=request_id, action=action, user_id=user_id, outcome=outcome, **who)
        return result


@contextmanager
def _about_the_target() -> Iterator[None]:
    """Distinguish a deleted target (410) from a deleted caller (401), who has to sign in as another user."""
    try:
        yield
    except UserDeletedError:
        raise HttpError(USER_GONE) from None
