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
from faststream.security import BaseSecurity

from adapters.kafka.connectivity import REFUSALS, Security, diagnose
from adapters.kafka.metadata import TopicMissingError
from anomalyze_auth.kafka.security import client_options
from application.errors import BrokerUnavailableError
from application.failure import Trouble, told


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
_TROUBLES: Sequence[tuple[tuple[type[BaseException], ...], Trouble]] = (
    ((TopicMissingError,), Trouble.TOPIC_MISSING),
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

_CERTAIN = (Trouble.TOPIC_MISSING, Trouble.NOT_AUTHORIZED, Trouble.CLOCK)
"""What a broker has said itself; everything else may have a cause that only a closer look shows."""


@frozen
class Attempts:
    """Attempts at a topic, and what is said of those that fail."""

    bootstrap_servers: Sequence[str]
    _security: BaseSecurity | None
    topic: str

    @property
    def security(self) -> Security:
        """The options of a client that is made now: a password may have changed."""
        return client_options(self._security)

    async def outage_of(self, attempt: Coroutine[Any, Any, None], *, within_s: float) -> str | None:
        """Make an attempt in bounded time, and return why it came to nothing; `None` when it did not."""
        try:
            async with asyncio.timeout(within_s):
                await attempt
        except TROUBLE as error:
            return await self.explained(error)
        except BrokerUnavailableError as error:
            return str(error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return await self.explained(TimeoutError("the client gave up a request"))  # aiokafka, not ours
        return None

    async def explained(self, error: BaseException) -> str:
        """Say an error by its cause, in a way that does not differ from one time to the next."""
        trouble = next((trouble for kinds, trouble in _TROUBLES if isinstance(error, kinds)), Trouble.OTHER)
        if trouble not in _CERTAIN and (found := await diagnose(self.bootstrap_servers, self.security, self.topic)):
            return told("Kafka", found.trouble, found.detail)
        match error:
            case TopicMissingError():
                detail = str(error)
            case TimeoutError():
                detail = str(error) or f"no acknowledgement of {self.topic}"
            case _:
                detail = type(error).__name__
        return told("Kafka", trouble, detail)
