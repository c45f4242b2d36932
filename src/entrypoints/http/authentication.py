"""Who sends this request, by its session token, and which of our users that is."""

from collections.abc import Iterable

from attrs import frozen

from anomalyze_auth import Authenticated, KeysUnavailable, Reason, SessionVerifier, TokenRejected, token_from
from application.errors import (
    IdentityProviderKeyRefusedError,
    IdentityProviderLimitedError,
    IdentityProviderUnavailableError,
    StoreBusyError,
    StoreUnavailableError,
    UnstorableError,
    UserBannedError,
    UserDeletedError,
    UserUnknownError,
)
from application.get_current_user import GetCurrentUser
from domain.user import InvalidUserIdError, User, user_id
from entrypoints.http.errors import TokenMissingError
from entrypoints.http.pace import Pace

TOKEN_ERRORS = (TokenMissingError, TokenRejected, KeysUnavailable)
USER_ERRORS = (
    UserDeletedError,
    UserBannedError,
    StoreBusyError,
    StoreUnavailableError,
    IdentityProviderUnavailableError,
    IdentityProviderLimitedError,
    IdentityProviderKeyRefusedError,
)


@frozen
class Authentication:
    verifier: SessionVerifier
    cookie_suffix: str | None
    get_current_user: GetCurrentUser
    rejections: Pace

    async def identity_in(self, headers: Iterable[tuple[bytes, bytes]], *, cookies: bool = True) -> Authenticated:
        """Return what the token says; nothing is verified when there is none. Without `cookies`, of the header alone.

        Raises:
            TokenMissingError: neither header nor cookie holds a token.
            TokenRejected: it is not a valid session token of a user.
            KeysUnavailable: nobody can tell.
        """
        token = token_from(headers, cookie_suffix=self.cookie_suffix, cookies=cookies)
        if not token:
            raise TokenMissingError
        try:
            identity = await self.verifier.verify(token)
            _require_user_id(identity)
        except TokenRejected:
            await self.rejections.turn()
            raise
        return identity

    async def user_of(self, identity: Authenticated) -> User:
        """Return the living, unbanned user in bounded time.

        Raises:
            ApplicationError: as `GetCurrentUser`; a user that the database refuses is one that cannot be obtained.
        """
        try:
            return await self.get_current_user(user_id(identity.user_id))
        except UnstorableError:
            raise UserUnknownError from None


def _require_user_id(identity: Authenticated) -> None:
    try:
        user_id(identity.user_id)
    except InvalidUserIdError:
        raise TokenRejected(Reason.CLAIM_INVALID, "The claim sub is not the id of a user.") from None
