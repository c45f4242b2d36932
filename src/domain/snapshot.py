"""A user as Clerk described it at one moment."""

import hashlib
import json
from operator import attrgetter

from attrs import fields, frozen

from domain.source_version import SourceVersion
from domain.user import EmailAddress, Profile, UserId


@frozen(kw_only=True)
class Snapshot:
    """The whole kept state of a user as Clerk had it at `source`."""

    id: UserId
    profile: Profile
    source: SourceVersion

    @classmethod
    def of(cls, user_id: UserId, profile: Profile, *, updated_at: int, timestamp: int) -> "Snapshot":
        """Place `profile` in Clerk's time; both times are milliseconds."""
        digest = hashlib.sha256(_canonical(profile).encode()).digest()
        return cls(id=user_id, profile=profile, source=SourceVersion(updated_at, timestamp, digest))


@frozen(kw_only=True)
class Deletion:
    """Clerk has deleted a user."""

    id: UserId
    deleted_at: int  # when Clerk made the event, ms


def changed_fields(before: Profile, after: Profile) -> tuple[str, ...]:
    """Name the kept fields that differ, in the order of the profile."""
    values = zip(_FIELDS, _of_profile(before), _of_profile(after), strict=True)
    # Python's == treats `1`, `1.0` and `True` inside metadata as equal. Metadata is a JSON parser's dict;
    # a check for Mapping would cost more than the rest of this function.
    return tuple(
        [
            name
            for name, old, new in values
            if old is not new
            and (old != new or (isinstance(old, dict) and bool(old) and _canonical(old) != _canonical(new)))
        ]
    )


_FIELDS = tuple(field.name for field in fields(Profile))
_of_profile = attrgetter(*_FIELDS)
_of_email = attrgetter(*(field.name for field in fields(EmailAddress)))
_canonical = json.JSONEncoder(  # one text for one content
    sort_keys=True,
    separators=(",", ":"),
    default=lambda value: _of_profile(value) if isinstance(value, Profile) else _of_email(value),
).encode
