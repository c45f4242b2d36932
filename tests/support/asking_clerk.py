"""The Clerk SDK wrapped as the service wraps it, and the two users that its stand-in has in the tests."""

from adapters.clerk.backend_api import BackendApi, RetryBudget
from adapters.clerk.identities import INTERACTIVE, ClerkIdentities
from domain.user import UserId

ADA, GRACE = UserId("user_ada"), UserId("user_grace")


def provider(api: BackendApi, effort: RetryBudget = INTERACTIVE) -> ClerkIdentities:
    return ClerkIdentities(api, effort, now_ms=lambda: 1)
