"""What a Kafka error means: what an operator has to mend."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
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

from adapters.kafka.reach import REFUSALS, why_out_of_reach
from application.trouble import Trouble, told


class TopicMissingError(Exception):
    """The relay never creates a topic. The text is the topic's name."""


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
    (REFUSALS, Trouble.NOT_AUTHENTICATED),
    ((NotEnoughReplicasError, NotEnoughReplicasAfterAppendError), Trouble.NOT_ENOUGH_REPLICAS),
    ((RequestTimedOutError, KafkaTimeoutError, TimeoutError), Trouble.NO_ANSWER),
    ((KafkaConnectionError, NodeNotReadyError, OSError), Trouble.OUT_OF_REACH),
)


def reason(error: BaseException) -> str:
    """Say an error in a way that does not differ from one time to the next."""
    detail = str(error) if isinstance(error, TopicMissingError) else type(error).__name__
    return told(
        "Kafka", next((trouble for kinds, trouble in _TROUBLES if isinstance(error, kinds)), Trouble.OTHER), detail
    )


async def explained(error: BaseException, bootstrap_servers: Sequence[str], security: Mapping[str, Any]) -> str:
    """Say an error, and of a connection that was not made, why: aiokafka keeps the reason for its own log."""
    if isinstance(error, KafkaConnectionError) and (why := await why_out_of_reach(bootstrap_servers, security)):
        return told("Kafka", *why)
    return reason(error)


async def outage_of(
    attempt: Coroutine[Any, Any, str | None],
    *,
    within_s: float,
    unanswered: str,
    explain: Callable[[BaseException], Awaitable[str]],
) -> str | None:
    """Make an attempt at Kafka, and return why it came to nothing; `None` when it did not.

    Args:
        attempt: returns the outage that it met itself, if any.
        within_s: how long it may take.
        unanswered: what is said when time is up.
        explain: says an error from `TROUBLE`.
    """
    try:
        async with asyncio.timeout(within_s):
            return await attempt
    except TimeoutError:
        return f"{unanswered} within {within_s:g} s"
    except TROUBLE as error:
        return await explain(error)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return "the client gave up a request"  # aiokafka's own cancellation, not ours
