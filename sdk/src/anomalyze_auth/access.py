"""What a route demands of its caller."""

from enum import Enum

import attrs

from anomalyze_auth.identity import Authenticated
from anomalyze_auth.problems import FORBIDDEN, Problem


class Access(Enum):
    """How a route treats callers without an identity.

    PUBLIC: the token is not even looked at. OPTIONAL: a caller without a token is let in as nobody.
    REQUIRED: only with a valid token.
    """

    PUBLIC = "public"
    OPTIONAL = "optional"
    REQUIRED = "required"


PUBLIC, OPTIONAL, REQUIRED = Access.PUBLIC, Access.OPTIONAL, Access.REQUIRED


@attrs.frozen(kw_only=True)
class Requirement:
    """What a signed-in caller must have besides; all that is set must hold.

    `organization`: True for any active organization, or the id of one. `role` and `permission`: in that
    organization, in the long form (`org:admin`). `in_person`: not impersonated by somebody else.
    """

    organization: bool | str = False
    role: str | None = None
    permission: str | None = None
    in_person: bool = False

    def refusal(self, caller: Authenticated) -> Problem | None:
        """The answer to a caller who does not have it all; None for one who does."""
        organization = caller.organization
        if self.organization and (organization is None or self.organization not in (True, organization.id)):
            return FORBIDDEN["organization-required"]
        if self.role is not None and not caller.has_role(self.role):
            return FORBIDDEN["role-required"]
        if self.permission is not None and not caller.has_permission(self.permission):
            return FORBIDDEN["permission-required"]
        if self.in_person and caller.actor_id is not None:
            return FORBIDDEN["impersonation-refused"]
        return None


Rule = Access | Requirement
