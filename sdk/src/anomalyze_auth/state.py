"""The state topic of auth-service on Kafka: each user's newest version, compacted."""

from collections.abc import Iterator, Mapping

import attrs

from anomalyze_auth.events import (
    Headers,
    Profile,
    UnknownEvent,
    UnusableEvent,
    UserDeleted,
    UserEvent,
    attributes_of,
    data_in,
    user_id_in,
    version_in,
)

STATE_TOPIC = "auth.user.state.v1"
_STATE_V1 = "anomalyze.user.state.v1"


@attrs.frozen(kw_only=True)
class UserState:
    """A user as of one version."""

    user: Profile

    @property
    def user_id(self) -> str:
        return self.user.id

    @property
    def version(self) -> int:
        return self.user.version


@attrs.frozen(kw_only=True)
class UserGone:
    """The user was deleted permanently: erase your data about them."""

    user_id: str
    version: int


@attrs.frozen(kw_only=True)
class _State:
    user: Profile


def decode_state(headers: Headers, key: bytes | None, value: bytes | None) -> UserState | UserGone | UnknownEvent:
    """The state in a Kafka message, whose value is None for a deleted user.

    Tolerant as `events.decode`, which takes the same headers: an unknown `ce_type` is an `UnknownEvent`.

    Raises:
        UnusableEvent: it is not a CloudEvent in binary mode, its data does not fit its type, or key, headers and
            data contradict each other. Nothing else is raised, whatever the record contains.
    """
    attributes = attributes_of(headers)
    kind = attributes["ce_type"]
    if kind != _STATE_V1:
        return UnknownEvent(event_id=attributes["ce_id"], type=kind)
    user_id = user_id_in(attributes)
    if key != user_id.encode():
        raise UnusableEvent("the header ce_subject is not the key")
    version = version_in(attributes)
    if value is None:
        return UserGone(user_id=user_id, version=version)
    user = data_in(value, _State, kind).user
    if user.id != user_id or user.version != version:
        raise UnusableEvent("the user in the data is not the one that key and ce_sequence name")
    return UserState(user=user)


class UserStates(Mapping[str, Profile]):
    """All users who are not deleted, by id: apply every message of the state topic, from the beginning.

    It remembers the versions of deleted users too, so that messages of `auth.user.events.v1` (`events.decode`) and
    repeated messages may be applied as well, in any mixture: a version that is not newer changes nothing.
    """

    def __init__(self) -> None:
        self._users: dict[str, Profile] = {}
        self._versions: dict[str, int] = {}

    def apply(self, state: UserState | UserGone | UserEvent | UnknownEvent) -> bool:
        """Apply a `UserState`, a `UserGone` or a `UserEvent`; return whether it changed something."""
        if isinstance(state, UnknownEvent) or state.version <= self._versions.get(state.user_id, 0):
            return False
        self._versions[state.user_id] = state.version
        if isinstance(state, UserGone | UserDeleted):
            self._users.pop(state.user_id, None)
        else:
            self._users[state.user_id] = state.user
        return True

    def __getitem__(self, user_id: str) -> Profile:
        return self._users[user_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._users)

    def __len__(self) -> int:
        return len(self._users)
