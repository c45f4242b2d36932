"""What a Kafka error means: what an operator has to mend."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    RecordListTooLargeError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    kafka_errors,
)

from adapters.kafka.broker import RelayBroker
from adapters.kafka.connectivity import REFUSALS, diagnose
from adapters.kafka.metadata import TopicMissingError
from application.errors import BrokerUnavailableError
from application.failure import Trouble, told


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka's errors have no types
    """A broker has validated a record and will not have it (Kafka protocol guide, error codes)."""

    errno = 87
    message = "INVALID_RECORD"


class UnroutedError(Exception):
    """No topic is configured for this type of event, which is the text: an older relay beside a newer service."""


# aiokafka 0.14 does not know this one, and would call it an unknown error of the server, which may pass.
kafka_errors[InvalidRecordError.errno] = InvalidRecordError

REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError)
"""What a broker holds against a record for ever; everything else may pass."""

TROUBLE = (KafkaError, OSError, TimeoutError, TopicMissingError, UnroutedError)
"""Everything that a producer may raise when the brokers are at fault or out of reach."""

# The first that fits: TimeoutError is an OSError.
_TROUBLES: Sequence[tuple[tuple[type[BaseException], ...], Trouble]] = (
    ((TopicMissingError,), Trouble.TOPIC_MISSING),
    ((UnroutedError,), Trouble.CONFIGURATION),
    (
        (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, TransactionalIdAuthorizationFailed),
        Trouble.NOT_AUTHORIZED,
    ),
    ((InvalidTimestampError,), Trouble.CLOCK),
    (REFUSALS, Trouble.NOT_AUTHENTICATED),
    ((NotEnoughReplicasError, NotEnoughReplicasAfterAppendError), Trouble.NOT_ENOUGH_REPLICAS),
    ((RequestTimedOutError, KafkaTimeoutError, TimeoutError), Trouble.NO_ANSWER),
    ((KafkaConnectionError, NodeNotReadyError, OSError), Trouble.OUT_OF_REACH),
)

_CERTAIN = (Trouble.TOPIC_MISSING, Trouble.CONFIGURATION, Trouble.NOT_AUTHORIZED, Trouble.CLOCK)
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


async def explained(error: BaseException, broker: RelayBroker, topic: str | None) -> str:
    """Say an error by its cause, in a way that does not differ from one time to the next."""
    if isinstance(error, BrokerUnavailableError):
        return str(error)
    trouble = next((trouble for kinds, trouble in _TROUBLES if isinstance(error, kinds)), Trouble.OTHER)
    if trouble not in _CERTAIN and (found := await diagnose(broker.bootstrap_servers, broker.security_options, topic)):
        return told("Kafka", found.trouble, found.detail)
    match error:
        case TopicMissingError():
            detail = str(error)
        case UnroutedError():
            detail = f"no topic for {error}"
        case TimeoutError():
            detail = str(error) or f"no acknowledgement of {topic}"
        case _:
            detail = type(error).__name__
    return told("Kafka", trouble, detail)
