"""`GET /v1/users`: which users, in which order, and which page of them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from devkit.fake_clerk.refusals import RefusedError, bad_parameter
from devkit.fake_clerk.users import User, identifiers, primary_email, primary_phone

PAGE = 10
LARGEST_PAGE = 500
MOST_VALUES = 100
"""Of one list parameter (OpenAPI description of GET /users)."""

_ORDERS: dict[str, Callable[[User], Any]] = {
    "created_at": lambda user: user["created_at"],
    "updated_at": lambda user: user["updated_at"],
    "email_address": lambda user: primary_email(user) or "",
    "phone_number": lambda user: primary_phone(user) or "",
    "web3wallet": lambda _: "",
    "first_name": lambda user: user.get("first_name") or "",
    "last_name": lambda user: user.get("last_name") or "",
    "username": lambda user: user.get("username") or "",
    "last_active_at": lambda user: user.get("last_active_at") or 0,
    "last_sign_in_at": lambda user: user.get("last_sign_in_at") or 0,
}

_INDEXED = ("created_at", "updated_at")
_TIMES = ("created_at", "last_active_at", "last_sign_in_at")
_ENDLESS = 2**63

Matches = Callable[[User], bool]


@frozen(kw_only=True)
class Query:
    """What a client asked for."""

    order: str = "created_at"
    descending: bool = True
    limit: int = PAGE
    offset: int = 0
    user_ids: tuple[str, ...] | None = None
    """No others than these."""
    created: tuple[int, int] | None = None
    """No others than those created between the two, both exclusive, ms."""
    matches: tuple[Matches, ...] = field(default=())


class Users:
    """All users of an instance, by id and in the orders that clients page through."""

    def __init__(self) -> None:
        self._by_id: dict[str, User] = {}
        self._index: dict[str, list[tuple[int, str]]] = {name: [] for name in _INDEXED}
        self._owners: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[User]:
        return iter(self._by_id.values())

    def get(self, user_id: str) -> User | None:
        return self._by_id.get(user_id)

    def owner(self, identifier: tuple[str, str]) -> str | None:
        """Return whose address, username or external id it is."""
        return self._owners.get(identifier)

    def put(self, user: User) -> None:
        self.remove(user["id"])
        self._by_id[user["id"]] = user
        for name, rows in self._index.items():
            insort(rows, (user[name], user["id"]))
        self._owners.update((identifier, user["id"]) for identifier in identifiers(user))

    def fill(self, users: Iterable[User]) -> None:
        """Put many new ones at once."""
        for user in users:
            self._by_id[user["id"]] = user
            for name, rows in self._index.items():
                rows.append((user[name], user["id"]))
            self._owners.update((identifier, user["id"]) for identifier in identifiers(user))
        for rows in self._index.values():
            rows.sort()

    def remove(self, user_id: str) -> None:
        user = self._by_id.pop(user_id, None)
        if user is None:
            return
        for name, rows in self._index.items():
            del rows[bisect_left(rows, (user[name], user_id))]
        for identifier in identifiers(user):
            if self._owners.get(identifier) == user_id:
                del self._owners[identifier]

    def page(self, query: Query) -> list[User]:
        end = query.offset + query.limit
        if query.order in self._index and query.user_ids is None and not query.matches:
            rows = self._index[query.order]
            if query.created is None:
                low, high = 0, len(rows)
            elif query.order == "created_at":
                low, high = self._between(query.created)
            else:
                return self._matching(query)[query.offset : end]
            if query.descending:
                wanted = rows[max(high - end, low) : max(high - query.offset, low)][::-1]
            else:
                wanted = rows[low + query.offset : min(low + end, high)]
            return [self._by_id[user_id] for _, user_id in wanted]
        return self._matching(query)[query.offset : end]

    def count(self, query: Query) -> int:
        if query.user_ids is None and not query.matches:
            low, high = (0, len(self)) if query.created is None else self._between(query.created)
            return high - low
        return len(self._matching(query))

    def _between(self, created: tuple[int, int]) -> tuple[int, int]:
        rows = self._index["created_at"]
        low = bisect_right(rows, created[0], key=_value)
        return low, max(low, bisect_left(rows, created[1], key=_value))

    def _matching(self, query: Query) -> list[User]:
        found: Iterable[User]
        if query.user_ids is not None:
            found = [user for user_id in dict.fromkeys(query.user_ids) if (user := self._by_id.get(user_id))]
        elif query.created is not None:
            low, high = self._between(query.created)
            found = [self._by_id[user_id] for _, user_id in self._index["created_at"][low:high]]
        else:
            found = self._by_id.values()
        if query.user_ids is not None and query.created is not None:
            after, before = query.created
            found = [user for user in found if after < user["created_at"] < before]
        value = _ORDERS[query.order]
        kept = (user for user in found if all(matches(user) for matches in query.matches))
        return sorted(kept, key=lambda user: (value(user), user["id"]), reverse=query.descending)


def query_of(parameters: Mapping[str, Sequence[str]]) -> Query:
    """Read the query string; a parameter that we do not know changes nothing.

    Raises:
        RefusedError: a value is not acceptable.
    """
    order = parameters.get("order_by", ("-created_at",))[0].strip()  # a bare `+` arrives as a blank
    name = order.removeprefix("-").removeprefix("+")
    if name not in _ORDERS:
        raise _invalid("order_by", f"{order} does not match one of the allowed values for parameter order_by")
    limit = whole_number(parameters, "limit", PAGE, at_least=1)
    user_ids, excluded = _signed(parameters, "user_id")
    return Query(
        order=name,
        descending=order.startswith("-"),
        limit=limit if limit <= LARGEST_PAGE else PAGE,  # clerk-sdk-python, issue 166: too many is as good as none
        offset=whole_number(parameters, "offset", 0),
        user_ids=tuple(user_ids) if user_ids else None,
        created=_bounds(parameters, "created_at"),
        matches=tuple(_filters(parameters, excluded)),
    )


def whole_number(parameters: Mapping[str, Sequence[str]], name: str, default: int, *, at_least: int = 0) -> int:
    text = parameters.get(name, (str(default),))[0]
    if not (text.isascii() and text.isdigit()) or not at_least <= int(text[:20]) < _ENDLESS:
        raise _invalid(name, f"{name} must be a whole number of at least {at_least}")
    return int(text)


def _invalid(name: str, text: str) -> RefusedError:
    return bad_parameter("form_param_value_invalid", name, text)


def _values(parameters: Mapping[str, Sequence[str]], name: str) -> list[str]:
    # The SDK repeats `user_id`, other clients write `user_id[]`.
    values = [*parameters.get(name, ()), *parameters.get(f"{name}[]", ())]
    if len(values) > MOST_VALUES:
        text = f"{name} should not exceed {MOST_VALUES} items."
        raise bad_parameter("form_param_array_size_exceeded", name, text, message="exceeds maximum size")
    return values


def _signed(parameters: Mapping[str, Sequence[str]], name: str) -> tuple[list[str], set[str]]:
    """Return the wanted ones and the unwanted ones (`-user_…`)."""
    values = [value.strip() for value in _values(parameters, name)]
    excluded = {value[1:] for value in values if value.startswith("-")}
    return [value.removeprefix("+") for value in values if not value.startswith("-")], excluded


def _bounds(parameters: Mapping[str, Sequence[str]], name: str) -> tuple[int, int] | None:
    after, before = f"{name}_after", f"{name}_before"
    if after not in parameters and before not in parameters:
        return None
    return whole_number(parameters, after, -1) if after in parameters else -1, whole_number(
        parameters, before, _ENDLESS - 1
    )


def _filters(parameters: Mapping[str, Sequence[str]], excluded: set[str]) -> Iterator[Matches]:
    if excluded:
        yield lambda user: user["id"] not in excluded
    for name in ("email_address", "phone_number", "username", "external_id"):
        if wanted := {text.lower() for text in _values(parameters, name)}:
            yield _has(name, wanted)
    for name in _TIMES[1:]:
        if (bounds := _bounds(parameters, name)) is not None:
            yield _within(name, bounds)
    if banned := parameters.get("banned"):
        if banned[0] not in ("true", "false"):
            raise _invalid("banned", "banned must be true or false")
        yield lambda user: user.get("banned", False) is (banned[0] == "true")
    for name, texts in _SEARCHED.items():
        if sought := parameters.get(name, ("",))[0].lower():
            yield _contains(texts, sought)


def _has(kind: str, wanted: set[str]) -> Matches:
    return lambda user: any(found == kind and text.lower() in wanted for found, text in identifiers(user))


def _within(name: str, bounds: tuple[int, int]) -> Matches:
    return lambda user: bounds[0] < (user.get(name) or -1) < bounds[1]


def _contains(texts: Callable[[User], list[str]], sought: str) -> Matches:
    return lambda user: any(sought in text.lower() for text in texts(user))


def _texts(kind: str) -> Callable[[User], list[str]]:
    return lambda user: [text for found, text in identifiers(user) if found == kind]


def _names(user: User) -> list[str]:
    return [user.get("first_name") or "", user.get("last_name") or ""]


_SEARCHED: dict[str, Callable[[User], list[str]]] = {
    "query": lambda user: [user["id"], *_names(user), *(text for _, text in identifiers(user))],
    "email_address_query": _texts("email_address"),
    "phone_number_query": _texts("phone_number"),
    "username_query": _texts("username"),
    "name_query": _names,
}


def _value(row: tuple[int, str]) -> int:
    return row[0]
