"""What a route requires of its caller."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs

from anomalyze_auth.identity import Authenticated
from anomalyze_auth.problems import FORBIDDEN, Problem


class Access(Enum):
    """How a route treats callers without an identity.

    PUBLIC: the token is not read. OPTIONAL: a caller without a token is anonymous.
    REQUIRED: a valid token is needed.
    """

    PUBLIC = "public"
    OPTIONAL = "optional"
    REQUIRED = "required"


PUBLIC, OPTIONAL, REQUIRED = Access.PUBLIC, Access.OPTIONAL, Access.REQUIRED


def _text_or(kind: type) -> Callable[[object, "attrs.Attribute[Any]", object], None]:
    """A validator: an empty text, usually from a missing setting, must not mean "no requirement"."""

    def validate(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if not isinstance(value, (str, kind)):
            raise TypeError(
                f"{attribute.name} of a Requirement is a text or {kind.__name__}, not {type(value).__name__}."
            )
        if isinstance(value, str) and not value.strip():
            raise ValueError(f"{attribute.name} of a Requirement is empty.")

    return validate


@attrs.frozen(kw_only=True)
class Requirement:
    """What a signed-in caller needs; every field that is set must hold.

    `organization`: True for any active organization, or the id of one. `role` and `permission`: in that
    organization, in the long form (`org:admin`). `in_person`: not impersonated.

    Raises:
        TypeError, ValueError: a value has the wrong type or is empty, and would check nothing or refuse every caller.
    """

    organization: bool | str = attrs.field(default=False, validator=_text_or(bool))
    role: str | None = attrs.field(default=None, validator=_text_or(type(None)))
    permission: str | None = attrs.field(default=None, validator=_text_or(type(None)))
    in_person: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))

    def refusal(self, caller: Authenticated) -> Problem | None:
        """The answer to a caller who does not meet the requirement; None for one who does."""
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
