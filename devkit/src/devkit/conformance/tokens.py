"""Send the table of tokens to a service, and find the classes that it decides wrongly."""

import re
import time
from collections.abc import Callable, Iterable, Mapping

import httpx
from attrs import field, frozen

from devkit.conformance.token_vectors import ACCEPTED, Signer, Vector, vectors

ANSWER_S = 15.0
_TRIES = 4
_LONGEST_WAIT_S = 5.0
_EDGES = "clock tolerance"
"""The class whose tokens are decided otherwise a second later."""
_ACCEPTED_STATUS = range(200, 300)
_EARLY_S = 0.3
_FIRST_SERVER_ERROR = 500
# What cannot be in a field value (RFC 9110 section 5.5), or is cut off from it.
_NOT_SENDABLE = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")


class ControlFailedError(Exception):
    """The service decides a plain session token or none wrongly, or answers too late: the rest cannot be judged."""


@frozen
class Answer:
    """What came of one token; `status` is None where the connection ended without an answer."""

    vector: Vector
    status: int | None

    @property
    def accepted(self) -> bool:
        return self.status in _ACCEPTED_STATUS


@frozen(kw_only=True)
class Findings:
    """By class, the names of the tokens that were decided wrongly."""

    sent: int
    not_sendable: tuple[str, ...]
    keys: str
    wrongly_accepted: Mapping[str, tuple[str, ...]] = field(factory=dict)
    wrongly_refused: Mapping[str, tuple[str, ...]] = field(factory=dict)
    server_errors: Mapping[str, tuple[str, ...]] = field(factory=dict)
    unanswered: Mapping[str, tuple[str, ...]] = field(factory=dict)

    @property
    def clean(self) -> bool:
        return not (self.wrongly_accepted or self.wrongly_refused or self.server_errors or self.unanswered)


def examine(
    client: httpx.Client, url: str, signer: Signer, *, unchecked: frozenset[str], on_sent: Callable[[], None]
) -> Findings:
    """Send every token that a header can carry as `Authorization: Bearer …`.

    2xx is accepted; 5xx is a fault; anything else is refused.

    Args:
        client: follows no redirects.
        url: answers 2xx to a caller who is signed in.
        signer: whose key, issuer and party the service trusts.
        unchecked: reasons for which this service refuses nobody, because it is configured so.
        on_sent: called after each token.

    Raises:
        ControlFailedError: it refuses a plain session token, accepts a request without one, or takes too long.
        httpx.TransportError: it cannot be reached.
    """
    _control(client, url, signer)
    sendable = [
        vector
        for vector in vectors()
        if vector.expected not in unchecked and not _NOT_SENDABLE.search(signer.token(vector, time.time()))
    ]
    answers = []
    for vector in sendable:
        answers.append(_answer(client, url, signer, vector))
        on_sent()
    return judged(answers, [vector.name for vector in vectors() if vector not in sendable])


def judged(answers: Iterable[Answer], not_sendable: Iterable[str] = ()) -> Findings:
    """Derive the report from these answers.

    A service with a key set must know a token's `kid`, one with a single key does not compare it: which it is shows in
    how it decides most of those tokens. A token with several defects is counted only where none of its other defects
    explains the answer.
    """
    answers = list(answers)
    by_key_id = [answer for answer in answers if answer.vector.with_jwks is not None]
    key_set = sum(answer.accepted for answer in by_key_id) * 2 < len(by_key_id)
    accepted: list[Vector] = []
    refused: list[Vector] = []
    errors: list[Vector] = []
    unanswered: list[Vector] = []
    for answer in answers:
        vector = answer.vector
        expected = (vector.with_jwks if key_set else None) or vector.expected
        if answer.status is None:
            if vector.expected != "token-too-large":
                unanswered.append(vector)
        elif answer.status >= _FIRST_SERVER_ERROR:
            errors.append(vector)
        elif answer.accepted and expected != ACCEPTED:
            accepted.append(vector)
        elif not answer.accepted and expected == ACCEPTED:
            refused.append(vector)
    return Findings(
        sent=len(answers),
        not_sendable=tuple(not_sendable),
        keys="a key set (kid is compared)" if key_set else "one key (kid is not compared)",
        wrongly_accepted=_by_class(accepted),
        wrongly_refused=_by_class(refused),
        server_errors=_by_class(errors),
        unanswered=_by_class(unanswered),
    )


def _by_class(wrong: Iterable[Vector]) -> dict[str, tuple[str, ...]]:
    wrong = list(wrong)
    plain = {vector.token_class for vector in wrong if not vector.also}
    found: dict[str, tuple[str, ...]] = {}
    for vector in wrong:
        explained = sorted(vector.also & plain) if vector.token_class not in plain else ()
        token_class = explained[0] if explained else vector.token_class
        found[token_class] = (*found.get(token_class, ()), vector.name)
    return found


def _control(client: httpx.Client, url: str, signer: Signer) -> None:
    status = _status(client, url, signer.session_token(time.time()))
    if status not in _ACCEPTED_STATUS:
        raise ControlFailedError(
            f"{url} answers {status or 'nothing'} to a plain session token; it must trust the key, the issuer "
            f"{signer.issuer} and the authorized party {signer.party}, and know the user {signer.user} if it asks."
        )
    status = _status(client, url, None)
    if status in _ACCEPTED_STATUS or status is None:
        raise ControlFailedError(
            f"{url} answers {status or 'nothing'} to a request without a token: it lets anybody in."
        )


def _answer(client: httpx.Client, url: str, signer: Signer, vector: Vector) -> Answer:
    if vector.token_class != _EDGES:
        return Answer(vector, _status(client, url, signer.token(vector, time.time())))
    for _ in range(_TRIES):
        if time.time() % 1 > _EARLY_S:
            time.sleep(1 - time.time() % 1)
        now = time.time()
        status = _status(client, url, signer.token(vector, now))
        if int(time.time()) == int(now):
            return Answer(vector, status)
    raise ControlFailedError(
        f"{url} needs most of a second to answer, {_TRIES} times in a row: its clock tolerance cannot be judged."
    )


def _status(client: httpx.Client, url: str, token: str | None) -> int | None:
    headers = [] if token is None else [(b"authorization", (b"Bearer " + token.encode("utf-8")).rstrip())]
    response = None
    for _ in range(_TRIES):
        try:
            response = client.get(url, headers=headers)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.ReadTimeout):
            continue  # a server may have closed the connection after the request before
        wait = response.headers.get("retry-after", "")
        if response.status_code not in {429, 503} or not wait.isdecimal():
            break
        time.sleep(min(int(wait), _LONGEST_WAIT_S))
    return None if response is None else response.status_code
