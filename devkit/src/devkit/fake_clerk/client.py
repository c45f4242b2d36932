"""The client of `trigger` and `token` for a running stand-in, so that it and the service have the same users."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
from attrs import field, frozen

from entrypoints.config.settings import ClerkApiSettings

_ANSWER_S = 10.0


@frozen
class StandInClient:
    url: str
    _secret_key: str = field(repr=False)

    def user(self, user_id: str) -> dict[str, Any] | None:
        """Return a user as the stand-in has it; None when it has none.

        Raises:
            httpx.HTTPError: it does not answer, or with something else.
        """
        answer = self._ask("GET", f"/v1/users/{user_id}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def take_in(self, event: str, data: Mapping[str, Any]) -> None:
        """Have it know what a webhook tells.

        Raises:
            httpx.HTTPError: it does not answer, or refuses the data.
        """
        self._ask("POST", "/stand-in/events", json={"type": event, "data": data}).raise_for_status()

    def delivery(self, svix_id: str) -> dict[str, str] | None:
        """Return a delivery that it remembers, as `{"event", "user_id", "body"}`; None when it does not.

        Raises:
            httpx.HTTPError: it does not answer, or with something else.
        """
        answer = self._ask("GET", f"/stand-in/deliveries/{quote(svix_id, safe='')}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        found: dict[str, str] = answer.raise_for_status().json()
        return found

    def report(self, attempt: Mapping[str, Any]) -> None:
        """Have it know of a delivery that was sent, with the fields of `DeliveryAttempt`.

        Raises:
            httpx.HTTPError: it does not answer, or refuses the data.
        """
        self._ask("POST", "/stand-in/attempts", json=attempt).raise_for_status()

    def _ask(self, method: str, path: str, **what: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._secret_key}"}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=_ANSWER_S, trust_env=False, **what)


def stand_in_of(settings: ClerkApiSettings) -> StandInClient | None:
    """Return the stand-in that is configured as Clerk's API; None where that is Clerk itself, or nobody."""
    secret_key = settings.clerk_secret_key.get_secret_value() if settings.clerk_secret_key else ""
    if not secret_key.startswith("sk_test_") or settings.clerk_api_url.startswith("https://"):
        return None
    return StandInClient(settings.clerk_api_url, secret_key)
