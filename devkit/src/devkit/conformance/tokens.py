"""Send the table of tokens to a service, and find the classes that it decides wrongly."""

import re
import time
from collections.abc import Callable, Iterable, Mapping

import httpx
from attrs import define, field, frozen

from devkit.conformance.token_vectors import ACCEPTED, Signer, Vector, vectors

ANSWER_S = 15.0
_TRIES = 4
_TIMEOUTS = 4
"""A service that lets a class of tokens wait is told so; one that lets more wait than this is not asked any further."""
_LONGEST_WAIT_S = 5.0
_WAITS_S = 60.0
"""For a service that limits requests, altogether."""
_EDGES = "clock tolerance"
"""The class whose tokens are decided otherwise a second later."""
_ACCEPTED_STATUS = range(200, 300)
_EARLY_S = 0.3
_FIRST_SERVER_ERROR = 500
_REDIRECTS = range(300, 400)
# What cannot be in a field value (RFC 9110 section 5.5), or is cut off from it.
_NOT_SENDABLE = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")


class ControlFailedError(Exception):
    """The service decides a plain session token or none wrongly, or answers too late: the rest cannot be judged."""


class NotReachedError(Exception):
    """No HTTP server answers at the address."""


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
        NotReachedError: it does not answer.
    """
    service = _Service(client, url)
    try:
        _control(service, signer)
        sendable = [
            vector
            for vector in vectors()
            if vector.expected not in unchecked and not _NOT_SENDABLE.search(signer.token(vector, time.time()))
        ]
        answers = []
        for vector in sendable:
            answers.append(_answer(service, signer, vector))
            on_sent()
    except httpx.TransportError as error:
        raise NotReachedError(f"{url} cannot be reached: {_cause(error)}") from error
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


def _control(service: "_Service", signer: Signer) -> None:
    url = service.url
    status = service.status(signer.session_token(time.time()))
    if status not in _ACCEPTED_STATUS:
        if service.timeouts:
            raise NotReachedError(f"{url} does not answer a plain session token within {ANSWER_S:g} s.")
        raise ControlFailedError(f"{url} {_what_is_wrong(status, service.location, signer)}")
    status = service.status(None)
    if status in _ACCEPTED_STATUS or status is None:
        raise ControlFailedError(
            f"{url} answers {status or 'nothing'} to a request without a token: it lets anybody in."
        )


def _what_is_wrong(status: int | None, location: str, signer: Signer) -> str:
    if status is None:
        return "ends the connection without an answer to a plain session token: is http:// right, and not https://?"
    shown = f"answers {status} to a plain session token"
    if status in _REDIRECTS:
        return f"{shown}, with Location {location or '(none)'}: redirects are not followed, so name the last address."
    if status in {404, 405}:
        return f"{shown}: name a path that answers 2xx to a GET of whoever is signed in."
    if status >= _FIRST_SERVER_ERROR:
        return f"{shown}: it is not well, or what it asks is not; its log says more."
    return (
        f"{shown}; it must trust the key, the issuer {signer.issuer} and the authorized party {signer.party}, and know "
        f"the user {signer.user} if it asks."
    )


def _cause(error: httpx.TransportError) -> str:
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"{text}. SSL_CERT_FILE may name the certificate of the authority that it is to be checked with."
    return text


def _answer(service: "_Service", signer: Signer, vector: Vector) -> Answer:
    if vector.token_class != _EDGES:
        return Answer(vector, service.status(signer.token(vector, time.time())))
    for _ in range(_TRIES):
        if time.time() % 1 > _EARLY_S:
            time.sleep(1 - time.time() % 1)
        now = time.time()
        status = service.status(signer.token(vector, now))
        if int(time.time()) == int(now):
            return Answer(vector, status)
    raise ControlFailedError(
        f"{service.url} needs most of a second to answer, {_TRIES} times in a row: its clock tolerance cannot be "
        "judged."
    )


@define
class _Service:
    """What is asked, and how patiently."""

    client: httpx.Client
    url: str
    timeouts: int = 0
    location: str = ""
    """Of the last answer."""
    _waited_s: float = 0.0

    def status(self, token: str | None) -> int | None:
        """Return the status of its answer, or None where the connection ended, or nothing came in time.

        Raises:
            ControlFailedError: it let too many tokens wait, or it limits requests and does not stop doing so.
        """
        headers = [] if token is None else [(b"authorization", (b"Bearer " + token.encode("utf-8")).rstrip())]
        response = None
        for _ in range(_TRIES):
            try:
                with self.client.stream("GET", self.url, headers=headers) as response:  # its body may never end
                    self.location = response.headers.get("location", "")
            except httpx.ReadTimeout:
                self._note_timeout()
                return None
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                continue  # a server may have closed the connection after the request before
            wait = response.headers.get("retry-after", "")
            if response.status_code not in {429, 503} or not wait.isdecimal():
                break
            self._wait(min(float(wait), _LONGEST_WAIT_S), response.status_code)
        return None if response is None else response.status_code

    def _note_timeout(self) -> None:
        self.timeouts += 1
        if self.timeouts > _TIMEOUTS:
            raise ControlFailedError(
                f"{self.url} did not answer {self.timeouts} requests within {ANSWER_S:g} s each: the rest cannot be "
                "judged."
            )

    def _wait(self, seconds: float, status: int) -> None:
        self._waited_s += seconds
        if self._waited_s > _WAITS_S:
            raise ControlFailedError(
                f"{self.url} answers {status} with Retry-After again and again: the rest cannot be judged. Let it take "
                "some hundred requests a minute."
            )
        time.sleep(seconds)
