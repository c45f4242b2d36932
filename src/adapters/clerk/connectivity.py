"""Why Clerk could not be reached, by the HTTP client's error."""

import re
import ssl

import httpx

from application.failure import Cause


def cause_of(error: Exception) -> tuple[Cause, str]:
    """Return the cause, and a detail without text of another server; without one if there was no answer in time."""
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return Cause.NO_ANSWER, ""
    if isinstance(error, httpx.ProxyError):
        status = re.match(r"\d{3}\b", str(error))
        return Cause.PROXY, status[0] if status else type(error).__name__
    if _is_of_tls(error):
        return Cause.TLS, type(error).__name__
    return Cause.OUT_OF_REACH, type(error).__name__


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
