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
from attrs import frozen

from adapters.kafka.connectivity import REFUSALS, Security, diagnose
from adapters.kafka.metadata import TopicMissingError
from application.errors import BrokerUnavailableError
from application.failure import KAFKA, Cause, Failure


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka's errors have no types
    """A broker has validated a record and will not have it (Kafka protocol guide, error codes)."""

    errno = 87
    message = "INVALID_RECORD"


# aiokafka 0.14 does not know this one, and would call it an unknown error of the server, which may pass.
kafka_errors[InvalidRecordError.errno] = InvalidRecordError

REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError)
"""What a broker holds against a record for ever; everything else may pass."""

TROUBLE = (KafkaError, OSError, TimeoutError, TopicMissingError)
"""Everything that a producer may raise when the brokers are at fault or out of reach."""

# The first that fits: TimeoutError is an OSError.
_TROUBLES: Sequence[tuple[tuple[type[BaseException], ...], Cause]] = (
    ((TopicMissingError,), Cause.TOPIC_MISSING),
    (
        (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, TransactionalIdAuthorizationFailed),
        Cause.NOT_AUTHORIZED,
    ),
    ((InvalidTimestampError,), Cause.CLOCK),
    (REFUSALS, Cause.NOT_AUTHENTICATED),
    ((NotEnoughReplicasError, NotEnoughReplicasAfterAppendError), Cause.NOT_ENOUGH_REPLICAS),
    ((RequestTimedOutError, KafkaTimeoutError, TimeoutError), Cause.NO_ANSWER),
    ((KafkaConnectionError, NodeNotReadyError, OSError), Cause.OUT_OF_REACH),
)

_CERTAIN = (Cause.TOPIC_MISSING, Cause.NOT_AUTHORIZED, Cause.CLOCK)
"""What a broker has said itself; everything else may have a cause that only a closer look shows."""


@frozen
class Attempts:
    """Attempts at a topic, and what is said of those that fail."""

    bootstrap_servers: Sequence[str]
    security: Security
    topic: str

    async def outage_of(self, attempt: Coroutine[Any, Any, None], *, within_s: float) -> Failure | None:
        """Make an attempt in bounded time, and return why it came to nothing; `None` when it did not."""
        try:
            async with asyncio.timeout(within_s):
                await attempt
        except TROUBLE as error:
            return await self.explained(error)
        except BrokerUnavailableError as error:
            return error.failure
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return await self.explained(TimeoutError("the client gave up a request"))  # aiokafka, not ours
        return None

    async def explained(self, error: BaseException) -> Failure:
        """Say an error by its cause, in a way that does not differ from one time to the next."""
        trouble = next((trouble for kinds, trouble in _TROUBLES if isinstance(error, kinds)), Cause.OTHER)
        if trouble not in _CERTAIN and (found := await diagnose(self.bootstrap_servers, self.security, self.topic)):
            return found.failure
        match error:
            case TopicMissingError():
                detail = str(error)
            case TimeoutError():
                detail = str(error) or f"no acknowledgement of {self.topic}"
            case _:
                detail = type(error).__name__
        return Failure(KAFKA, trouble, detail)

    async def unavailable(self, error: BaseException) -> BrokerUnavailableError:
        """Return the application's error for `error`."""
        found = await self.explained(error)
        return BrokerUnavailableError(found.detail, Cause(found.cause))
