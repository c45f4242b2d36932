"""The text of an error on the command line: the failure, what to do, and the variable that it concerns."""

from application.doctor.findings import advice_for
from application.errors import ApplicationError, BrokerUnavailableError, StoreUnavailableError


def with_remedy(error: ApplicationError) -> str:
    """Return one line."""
    match error:
        case StoreUnavailableError():
            return f"{error}; {advice_for(error.failure)} (DATABASE_URL)"
        case BrokerUnavailableError():
            return f"{error}; {advice_for(error.failure)} (KAFKA_BOOTSTRAP_SERVERS)"
    return str(error)
