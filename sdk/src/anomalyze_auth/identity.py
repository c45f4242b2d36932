"""The caller, as identified by a verified session token."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

USER_ID = re.compile(r"user_[A-Za-z0-9_-]{1,123}", re.ASCII)
"""A complete Clerk user id. auth-service uses the same pattern everywhere else (a test compares both)."""


@attrs.frozen(kw_only=True)
class Organization:
    """The active organization of the session.

    `role` and `permissions` are in Clerk's long form (`org:admin`, `org:billing:manage`), whichever
    version of the session claims the token carries.
    """

    id: str
    slug: str | None = None
    role: str | None = None
    permissions: frozenset[str] = frozenset()


@attrs.frozen(kw_only=True)
class Authenticated:
    """The identity in a verified session token.

    Times are seconds since the epoch, from the token. Factor ages are whole minutes between the last
    verification of the first or second factor and the creation of the token; None: never, or not in the token.
    `actor_id` is set when another person acts as this user (impersonation): audit it, and refuse dangerous
    operations. `claims` holds every claim, custom ones included.
    """

    user_id: str
    session_id: str
    expires_at: float
    issuer: str | None = None
    issued_at: float | None = None
    authorized_party: str | None = None
    actor_id: str | None = None
    first_factor_age_minutes: int | None = None
    second_factor_age_minutes: int | None = None
    organization: Organization | None = None
    claims: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)

    def has_role(self, role: str) -> bool:
        """Whether the user holds this role (`org:admin`) in the active organization."""
        return self.organization is not None and self.organization.role == role

    def has_permission(self, permission: str) -> bool:
        """Whether the user holds this permission (`org:billing:manage`) in the active organization."""
        return self.organization is not None and permission in self.organization.permissions
