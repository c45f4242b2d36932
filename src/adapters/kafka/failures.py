"""What a Kafka error means: what an operator has to mend."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from aiokafka import errors

from adapters.kafka.broker import RelayBroker
from adapters.kafka.connectivity import REFUSALS, diagnose
from adapters.kafka.metadata import TopicMissingError
from application.errors import BrokerUnavailableError
from application.failure import KAFKA, Cause, Failure


class InvalidRecordError(errors.BrokerResponseError):  # type: ignore[misc]  # aiokafka's errors have no types
    """A broker has validated a record and will not have it (Kafka protocol guide, error codes)."""

    errno = 87
    message = "INVALID_RECORD"


class UnroutedError(Exception):
    """No topic is configured for this type of event, which is the text: an older relay beside a newer service."""


# aiokafka 0.14 does not know this one, and would call it an unknown error of the server, which may pass.
errors.kafka_errors[InvalidRecordError.errno] = InvalidRecordError

REFUSED = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError, InvalidRecordError)
"""What a broker holds against a record for ever; everything else may pass."""

TROUBLE = (errors.KafkaError, OSError, TimeoutError, TopicMissingError)
"""Everything that a producer may raise when the brokers are at fault or out of reach."""

# The first that fits: TimeoutError is an OSError.
_CAUSES: Sequence[tuple[tuple[type[BaseException], ...], Cause]] = (
    ((TopicMissingError,), Cause.TOPIC_MISSING),
    ((UnroutedError,), Cause.CONFIGURATION),
    (
        (
            errors.TopicAuthorizationFailedError,
            errors.ClusterAuthorizationFailedError,
            errors.TransactionalIdAuthorizationFailed,
        ),
        Cause.NOT_AUTHORIZED,
    ),
    ((errors.InvalidTimestampError,), Cause.CLOCK),
    (REFUSALS, Cause.NOT_AUTHENTICATED),
    ((errors.NotEnoughReplicasError, errors.NotEnoughReplicasAfterAppendError), Cause.NOT_ENOUGH_REPLICAS),
    ((errors.RequestTimedOutError, errors.KafkaTimeoutError, TimeoutError), Cause.NO_ANSWER),
    ((errors.KafkaConnectionError, errors.NodeNotReadyError, OSError), Cause.OUT_OF_REACH),
)

_CERTAIN = (Cause.TOPIC_MISSING, Cause.CONFIGURATION, Cause.NOT_AUTHORIZED, Cause.CLOCK)
"""What a broker has said itself; everything else may have a cause that only a closer look shows."""


async def failure_of(attempt: Coroutine[Any, Any, None], *, within_s: float) -> Exception | None:
    """Make an attempt in bounded time, and return what the brokers' trouble was; `None` when there was none."""
    try:
        async with asyncio.timeout(within_s):
            await attempt
    except (*TROUBLE, BrokerUnavailableError) as error:
        return error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return TimeoutError("the client gave up a request")  # aiokafka, not ours
    return None


async def explained(error: BaseException, broker: RelayBroker, topic: str | None) -> Failure:
    """Return an error by its cause, the same text at every attempt."""
    if isinstance(error, BrokerUnavailableError):
        return error.failure
    cause = next((cause for kinds, cause in _CAUSES if isinstance(error, kinds)), Cause.OTHER)
    if cause not in _CERTAIN and (found := await diagnose(broker.bootstrap_servers, broker.security_options, topic)):
        return found
    match error:
        case TopicMissingError():
            detail = str(error)
        case UnroutedError():
            detail = f"no topic for {error}"
        case TimeoutError():
            detail = str(error) or f"no acknowledgement of {topic}"
        case _ if type(error) is errors.KafkaError:
            detail = str(error)  # one of aiokafka's own sentences, which name no value
        case _:
            detail = type(error).__name__
    return Failure(KAFKA, cause, detail)


async def unavailable(error: BaseException, broker: RelayBroker, topic: str | None) -> BrokerUnavailableError:
    found = await explained(error, broker, topic)
    return BrokerUnavailableError(found.detail, Cause(found.cause))
