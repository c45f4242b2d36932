"""Why an action of `auth-service users` was not done: the message and the exit status."""

from collections.abc import Collection

from attrs import frozen

from application import errors
from entrypoints.cli.exit_codes import EX_CONFIG, EX_DATAERR, EX_NOPERM, EX_NOT_DONE, EX_NOUSER, EX_UNAVAILABLE
from entrypoints.cli.remedy import with_remedy
from entrypoints.cli.terminal import printable


@frozen
class Failure:
    code: str  # for scripts; the same words as the HTTP API's problem codes
    message: str
    status: int  # the exit status when there is no other kind of failure
    for_all_users: bool = False  # the action would fail in the same way for the next user, and is not tried


def failure_of(error: errors.ApplicationError) -> Failure:
    """Name a failure; one that is not expected here is raised again."""
    said = printable(str(error))
    match error:
        case errors.UserUnknownError():
            failure = Failure("user-unknown", said or "there is no such user", EX_NOUSER)
        case errors.UserDeletedError():
            failure = Failure("user-gone", "was deleted, for ever", EX_NOUSER)
        case errors.ClerkRefusedError():
            codes = f" ({printable(', '.join(error.codes))})" if error.codes else ""
            failure = Failure("identity-provider-refused", f"Clerk refuses: {said}{codes}", EX_NOPERM)
        case errors.ClerkNotConfiguredError():
            message = "Clerk cannot be asked without CLERK_SECRET_KEY (environment or .env)"
            failure = Failure("identity-provider-not-configured", message, EX_CONFIG, for_all_users=True)
        case errors.ClerkKeyRefusedError():
            failure = Failure("identity-provider-key-refused", said, EX_CONFIG, for_all_users=True)
        case errors.ClerkUnavailableError():
            message = f"{said}; trying again is safe"
            failure = Failure("identity-provider-unavailable", message, EX_UNAVAILABLE, for_all_users=True)
        case errors.StoreUnavailableError() | errors.BrokerUnavailableError():
            code = "store-unavailable" if isinstance(error, errors.StoreUnavailableError) else "broker-unavailable"
            failure = Failure(code, with_remedy(error), EX_UNAVAILABLE, for_all_users=True)
        case errors.SafetyStopError():
            failure = Failure("safety-stop", f"{said}; nobody was deleted", EX_DATAERR, for_all_users=True)
        case errors.UnstorableError():
            failure = Failure("not-storable", f"the database refuses what Clerk has: {said}", EX_DATAERR)
        case _:
            raise error
    return failure


NOT_TRIED = Failure("not-tried", "not tried", EX_NOT_DONE)


def exit_status(failures: Collection[Failure]) -> int:
    """Return 0 without a failure, the status of the only kind there is, and 1 for several kinds."""
    kinds = {failure.status for failure in failures if failure is not NOT_TRIED}
    return 0 if not kinds else kinds.pop() if len(kinds) == 1 else EX_NOT_DONE
