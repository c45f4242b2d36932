"""Who sends this request, by its session token, and which of our users that is."""

from collections.abc import Awaitable, Iterable

from attrs import frozen

from anomalyze_auth import Authenticated, KeysUnavailable, OriginRefused, RequestVerifier, TokenRejected
from application import errors
from application.users.get_current_user import GetCurrentUser
from domain.session import parse_session_id
from domain.user import User, parse_user_id
from entrypoints.http.problems import MIN_VERSION_NOT_VALID, TOKEN_MISSING, HttpError
from entrypoints.http.rejection_throttle import RejectionThrottle

REQUEST_ERRORS = (TOKEN_MISSING, TokenRejected, KeysUnavailable, OriginRefused)
FLOOR_ERRORS = (MIN_VERSION_NOT_VALID, errors.VersionNotReachedError)
USER_ERRORS = (
    errors.UserDeletedError, errors.SessionRevokedError, errors.UserBannedError, errors.StoreBusyError,
    errors.StoreUnavailableError, errors.ClerkUnavailableError, errors.ClerkLimitedError, errors.ClerkKeyRefusedError,
)  # fmt: skip


@frozen
class Authentication:
    requests: RequestVerifier
    get_current_user: GetCurrentUser
    rejections: RejectionThrottle

    def identity_in(self, headers: Iterable[tuple[bytes, bytes]]) -> Awaitable[Authenticated]:
        """Return who sends a request, by its Bearer token or its session cookies; see `RequestVerifier`.

        Raises HttpError(TOKEN_MISSING), TokenRejected, KeysUnavailable, or OriginRefused: the token is in a cookie, and
        a page of another origin made the request.
        """
        return self._identity(self.requests.verify(headers))

    def identity_of(self, token: str) -> Awaitable[Authenticated]:
        """Return who a token from the Authorization header means; raises TokenRejected, KeysUnavailable."""
        return self._identity(self.requests.verifier.verify(token))

    async def _identity(self, verification: Awaitable[Authenticated | None]) -> Authenticated:
        try:
            identity = await verification
            if identity is None:
                raise HttpError(TOKEN_MISSING)
        except TokenRejected:
            await self.rejections.turn()
            raise
        return identity

    async def user_of(self, identity: Authenticated, *, min_version: int = 0, seen_version: int = 0) -> User:
        """Return the living, unbanned user of a session that has not ended; raises as `GetCurrentUser` does."""
        try:
            return await self.get_current_user(
                parse_user_id(identity.user_id),
                parse_session_id(identity.session_id),
                min_version=min_version,
                seen_version=seen_version,
            )
        except errors.UnstorableError:
            raise errors.UserUnknownError from None
