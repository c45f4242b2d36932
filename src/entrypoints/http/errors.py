"""What can be wrong with a request before a use case sees it, and with the process that it meets."""

from collections.abc import Mapping


class HttpError(Exception):
    """One of the failures below; problems.py maps each to an answer."""


class HeadTooLargeError(HttpError):
    """The headers are longer than any route takes, or hold too many cookies; the message names the bound."""


class QueryTooLongError(HttpError):
    """The query is longer than any route takes, or has too many parameters; the message names the bound."""


class BodyTooLargeError(HttpError):
    """The body is longer than this route takes."""


class BodyTooSlowError(HttpError):
    """The body did not arrive in time, or came in too many small pieces."""


class BodyShedError(HttpError):
    """The bodies under way hold all the memory that they may, and this one began first."""


class ClientDisconnectedError(HttpError):
    """The client left before its request was complete; the answer is not read."""


class TokenMissingError(HttpError):
    """The request carries no session token."""


class NotAdmittedError(HttpError):
    """The token is valid, but its user is not known here."""


class CredentialsMissingError(HttpError):
    """The request carries neither a session token nor a service key."""


class ServiceKeyRejectedError(HttpError):
    """It has the form of a service key and is not configured."""


class ScopeMissingError(HttpError):
    """The service key is not made for what is asked."""


class VerifyQueryError(HttpError):
    """A forward-auth request asks for a check in a way that might mean another."""


class MinVersionError(HttpError):
    """`min_version` is no positive integer."""


class IdentityHeaderNamedError(HttpError):
    """A forward-auth request would have a proxy drop an identity header."""


class PermissionMissingError(HttpError):
    """The session token does not let its user manage users."""


class ImpersonatedError(HttpError):
    """Somebody else acts as this user, and what is asked needs the user in person."""


class RequestNotValidError(HttpError):
    """Parameters or body are not what the route takes; the message names the place, never a value."""


class UserGoneError(HttpError):
    """The user that the path names was deleted, for ever."""


class NotReadyError(HttpError):
    """Something that this process depends on is away."""

    def __init__(self, checks: Mapping[str, str], causes: Mapping[str, str], labels: Mapping[str, str]) -> None:
        super().__init__("not ready")
        self.checks = dict(checks)
        self.causes = dict(causes)
        self.labels = dict(labels)
