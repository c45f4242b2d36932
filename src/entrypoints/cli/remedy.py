"""An error as a command tells it: the cause, and what to do about it."""

from application.errors import ApplicationError, BrokerUnavailableError, StoreUnavailableError
from application.failure import ADVICE


def with_remedy(error: ApplicationError) -> str:
    """Return one line; a message of several lines says itself what to do, and stays as it is."""
    said = str(error).rstrip(".")
    match error:
        case StoreUnavailableError() if "\n" not in said:
            return f"{said}; {ADVICE[error.trouble]} (DATABASE_URL)"
        case BrokerUnavailableError() if "\n" not in said:
            return f"{said}; {ADVICE[error.trouble]} (KAFKA_BOOTSTRAP_SERVERS)"
    return str(error)
