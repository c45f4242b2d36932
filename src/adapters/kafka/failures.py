"""The causes of Kafka errors, as an operator can remove them."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from aiokafka import errors

from adapters.kafka.broker import RelayBroker
from adapters.kafka.connectivity import REFUSALS, diagnose
from adapters.kafka.metadata import TopicMissingError
from application.errors import BrokerUnavailableError
from application.failure import KAFKA, Cause, Failure


class InvalidRecordError(errors.BrokerResponseError):  # type: ignore[misc]  # aiokafka's errors have no types
    """A broker has validated a record and refuses it (Kafka protocol guide, error codes)."""

    errno = 87
    message = "INVALID_RECORD"


class UnroutedError(Exception):
    """No topic is configured for this type of event, which is the text: an older relay beside a newer service."""


# aiokafka 0.14 lacks this one, and would raise UnknownError, which may be temporary.
errors.kafka_errors[InvalidRecordError.errno] = InvalidRecordError

REFUSED = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError, InvalidRecordError)
"""Permanent refusals of a record; every other error may be temporary."""

KAFKA_FAILURES = (errors.KafkaError, OSError, TimeoutError, TopicMissingError)
"""Everything that a producer may raise when the brokers fail or are out of reach."""

# The first that fits: TimeoutError is an OSError.
_CAUSES: Mapping[Cause, tuple[type[BaseException], ...]] = {
    Cause.TOPIC_MISSING: (TopicMissingError,),
    Cause.CONFIGURATION: (UnroutedError,),
    Cause.NOT_AUTHORIZED: (
        errors.TopicAuthorizationFailedError,
        errors.ClusterAuthorizationFailedError,
        errors.TransactionalIdAuthorizationFailed,
    ),
    Cause.CLOCK: (errors.InvalidTimestampError,),
    Cause.NOT_AUTHENTICATED: REFUSALS,
    Cause.NOT_ENOUGH_REPLICAS: (errors.NotEnoughReplicasError, errors.NotEnoughReplicasAfterAppendError),
    Cause.NO_ANSWER: (errors.RequestTimedOutError, errors.KafkaTimeoutError, TimeoutError),
    Cause.OUT_OF_REACH: (errors.KafkaConnectionError, errors.NodeNotReadyError, OSError),
}

_CERTAIN = (Cause.TOPIC_MISSING, Cause.CONFIGURATION, Cause.NOT_AUTHORIZED, Cause.CLOCK)
"""Reported by a broker itself; every other error is diagnosed further."""


async def failure_of(attempt: Coroutine[Any, Any, None], *, within_s: float) -> Exception | None:
    """Await an attempt in bounded time, and return the brokers' error, if any."""
    try:
        async with asyncio.timeout(within_s):
            await attempt
    except (*KAFKA_FAILURES, BrokerUnavailableError) as error:
        return error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return TimeoutError("the client gave up a request")  # aiokafka, not ours
    return None


def unwrapped(error: BaseException) -> BaseException:
    """Return what aiokafka's sender met when it says nothing but "Unexpected error during batch delivery"."""
    return error.__cause__ if type(error) is errors.KafkaError and error.__cause__ else error


async def explained(error: BaseException, broker: RelayBroker, topic: str | None) -> Failure:
    """Return the failure; its text is the same at every attempt."""
    error = unwrapped(error)
    if isinstance(error, BrokerUnavailableError):
        return error.failure
    cause = next((cause for cause, kinds in _CAUSES.items() if isinstance(error, kinds)), Cause.OTHER)
    if cause not in _CERTAIN and (found := await diagnose(broker.bootstrap_servers, broker.security_options, topic)):
        return found
    match error:
        case UnroutedError():
            detail = f"no topic for {error}"
        case TimeoutError():
            detail = str(error) or f"no acknowledgement of {topic}"
        case _ if type(error) in (TopicMissingError, errors.KafkaError):
            detail = str(error)  # aiokafka's own texts contain no values
        case _:
            detail = type(error).__name__
    return Failure(KAFKA, cause, detail)


async def unavailable(error: BaseException, broker: RelayBroker, topic: str | None) -> BrokerUnavailableError:
    found = await explained(error, broker, topic)
    return BrokerUnavailableError(found.detail, found.cause)
