"""Who the users are, as the auth service keeps it on Kafka: each user's newest version, compacted."""

from collections.abc import Iterator, Mapping

import attrs
import msgspec

from anomalyze_auth.events import (
    Headers,
    Profile,
    UnknownEvent,
    UnusableEvent,
    UserDeleted,
    UserEvent,
    attributes_of,
    user_id_in,
    version_in,
)

STATE_TOPIC = "auth.user.state.v1"
_STATE_V1 = "anomalyze.user.state.v1"


@attrs.frozen(kw_only=True)
class UserState:
    """What a user is as of one version."""

    user: Profile

    @property
    def user_id(self) -> str:
        return self.user.id

    @property
    def version(self) -> int:
        return self.user.version


@attrs.frozen(kw_only=True)
class UserGone:
    """The user was deleted, for good: erase what you hold."""

    user_id: str
    version: int


@attrs.frozen(kw_only=True)
class _State:
    user: Profile


_STATE = msgspec.json.Decoder(_State)


def decode_state(headers: Headers, key: bytes | None, value: bytes | None) -> UserState | UserGone | UnknownEvent:
    """The state in a Kafka message.

    A tolerant reader, as `events.decode` is: a later `ce_type` is an `UnknownEvent`.

    Args:
        headers: as `events.decode` takes them.
        key: the message's key.
        value: the message's value; None is a tombstone.

    Raises:
        UnusableEvent: it is no CloudEvent in binary mode, its data is not of its type's shape, or key, headers and
            data contradict each other. Nothing else is raised, whatever the record holds.
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
    user = _user(value)
    if user.id != user_id or user.version != version:
        raise UnusableEvent("the user in the data is not the one that key and ce_sequence name")
    return UserState(user=user)


def _user(value: bytes) -> Profile:
    try:
        return _STATE.decode(value).user
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
        # msgspec names the place and the types, never a value.
        problem = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
    raise UnusableEvent(f"the data of {_STATE_V1}: {problem}")


class UserStates(Mapping[str, Profile]):
    """All users that live, by id: give it every message of the state topic, from the beginning on.

    It remembers the versions of those who are gone too, so that it can also be fed with `auth.user.events.v1`
    (`events.decode`) or with a partition read twice, in any mixture: what is not newer changes nothing.
    """

    def __init__(self) -> None:
        self._users: dict[str, Profile] = {}
        self._versions: dict[str, int] = {}

    def apply(self, state: UserState | UserGone | UserEvent | UnknownEvent) -> bool:
        """Take in a `UserState`, a `UserGone` or a `UserEvent`; say whether it was news."""
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
