"""The text of an error on the command line: the failure, what to do, and the variable that it concerns."""

from application.errors import ApplicationError, BrokerUnavailableError, StoreUnavailableError


def with_remedy(error: ApplicationError) -> str:
    """Return one line."""
    match error:
        case StoreUnavailableError():
            return f"{error}; {error.failure.advice} (DATABASE_URL)"
        case BrokerUnavailableError():
            return f"{error}; {error.failure.advice} (KAFKA_BOOTSTRAP_SERVERS)"
    return str(error)
