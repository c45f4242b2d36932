"""Why brokers cannot be used: aiokafka raises a general error and only logs the reason."""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection, create_conn
from attrs import frozen

from adapters.kafka.metadata import NOT_AUTHORIZED, UNKNOWN_TOPIC, Described, Metadata, metadata_of
from anomalyze_auth.kafka.tls import RenewableContext
from anomalyze_auth.kafka.tokens import TokenUnavailable
from application.errors import BrokerUnavailableError
from application.failure import KAFKA, Cause, Failure

CONNECT_MS = 3_000
LOOK_UP_S = 2.0

Security: TypeAlias = Mapping[str, Any]  # aiokafka's own options

REFUSALS = (
    errors.AuthenticationFailedError, errors.AuthenticationMethodNotSupported, errors.IllegalSaslStateError,
    errors.SaslAuthenticationFailed, errors.UnsupportedSaslMechanismError,
)  # fmt: skip
"""A broker refuses our credentials."""

_ALERT = re.compile(
    r"ALERT_("
    r"(?:NO|BAD|UNSUPPORTED)_CERTIFICATE|CERTIFICATE_(?:REVOKED|EXPIRED|UNKNOWN|REQUIRED)|UNKNOWN_CA|ACCESS_DENIED"
    r"|HANDSHAKE_FAILURE)"
)

_SAYS_ADDRESS = (Cause.NO_ANSWER, Cause.NAME_RESOLUTION)  # the detail is the address alone
_UNREACHABLE = (Cause.OUT_OF_REACH, *_SAYS_ADDRESS)


@frozen
class Answer:
    """A broker's answer."""

    server: str
    brokers: Sequence[str]  # the advertised addresses, its own included, each as `host:port`
    topic: Described | None  # None when it was not asked


async def answering(bootstrap_servers: Sequence[str], security: Security) -> str:
    """Return the first server to answer; all are asked at once. BrokerUnavailableError: none answers."""
    asking = [asyncio.create_task(ask(server, security)) for server in bootstrap_servers]
    failures = []
    try:
        for next_done in asyncio.as_completed(asking):
            answer = await next_done
            if isinstance(answer, Answer):
                return answer.server
            failures.append(answer)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    raise unavailable(failures)


async def find_topic(bootstrap_servers: Sequence[str], security: Security, topic: str) -> tuple[str, Metadata]:
    """Return a server that answers, and what it says; BrokerUnavailableError: no such topic, no right, or no answer."""
    server = await answering(bootstrap_servers, security)
    try:
        async with connection_to(server, security) as connection:
            known = await metadata_of(connection.send, [topic])
    except (errors.KafkaError, OSError) as error:
        raise await why_unavailable(error, bootstrap_servers, security, topic) from error
    found = known.topics[topic]
    if found.error_code == NOT_AUTHORIZED:
        raise BrokerUnavailableError(f"to describe {topic}", Cause.NOT_AUTHORIZED)
    if found.error_code == UNKNOWN_TOPIC or not found.partitions:
        raise BrokerUnavailableError(f"{topic} at {server}", Cause.TOPIC_MISSING)
    return server, known


async def diagnose(bootstrap_servers: Sequence[str], security: Security, topic: str | None = None) -> Failure | None:
    """Check what a client needs, in that order: addresses, credentials, the topic; return the failure, if any."""
    asked = await asyncio.gather(*(ask(server, security, topic) for server in bootstrap_servers))
    failures = [each for each in asked if isinstance(each, Failure)]
    answers = [each for each in asked if isinstance(each, Answer)]
    if not answers:
        return _worst(failures)
    advertised = await out_of_reach(
        {address for answer in answers for address in answer.brokers} - set(bootstrap_servers), security
    )
    if advertised:
        return _worst(advertised)
    return next(filter(None, (_of_topic(answer.topic, topic) for answer in answers)), None) or (
        _worst(failures) if failures else None
    )


async def out_of_reach(addresses: Iterable[str], security: Security) -> list[Failure]:
    """Connect to addresses that brokers advertise, and return the failures."""
    outcomes = await asyncio.gather(*(ask(address, security) for address in sorted(addresses)))
    return [_of_advertised(outcome) for outcome in outcomes if isinstance(outcome, Failure)]


def _of_advertised(failure: Failure) -> Failure:
    """`kafka.internal:9092: name not resolved`."""
    if failure.cause not in _UNREACHABLE:
        return failure
    detail = f"{failure.detail}: {failure.cause}" if failure.cause in _SAYS_ADDRESS else failure.detail
    return Failure(KAFKA, Cause.BAD_ADDRESS, detail)


def unavailable(failures: Sequence[Failure]) -> BrokerUnavailableError:
    worst = _worst(failures)
    return BrokerUnavailableError(worst.detail, worst.cause)


async def why_unavailable(
    error: Exception, bootstrap_servers: Sequence[str], security: Security, topic: str | None = None
) -> BrokerUnavailableError:
    """Return the application's error for a client's, whose text is too general, after a diagnosis."""
    found = await diagnose(bootstrap_servers, security, topic)
    return unavailable([found or Failure(KAFKA, Cause.OTHER, ": ".join(filter(None, (topic, type(error).__name__))))])


async def ask(server: str, security: Security, topic: str | None = None) -> Answer | Failure:
    """Ask one server, `host:port`, for the brokers and a topic."""
    tokens = security.get("sasl_oauth_token_provider")
    try:
        if tokens is not None:
            await tokens.token()  # has its own time limit: a slow token endpoint is not a slow broker
        async with asyncio.timeout(CONNECT_MS / 1000), connection_to(server, security) as connection:
            # A listener with SASL answers the first request of a client without SASL, and disconnects at the second.
            brokers = (await metadata_of(connection.send)).brokers
            if tokens is not None and not brokers:
                # A broker refuses a token in a message of SASL (RFC 7628 3.2.3), which aiokafka treats as success; the
                # broker's next answer is empty.
                raise errors.SaslAuthenticationFailed
            described = (await metadata_of(connection.send, [topic])).topics[topic] if topic else None
    except (errors.KafkaError, OSError, ValueError) as error:  # ValueError: an answer in another protocol
        _forget_frames(error)
        context = security.get("ssl_context")
        if (
            isinstance(context, RenewableContext)
            and isinstance(error, errors.KafkaConnectionError)
            and not _alert(error)
        ):
            # A broker that closes at once may have sent a TLS alert that got lost with our unread request.
            host, _, port = server.rpartition(":")
            alert = await asyncio.to_thread(context.alert_of, host.strip("[]"), int(port))
            return _why(error if alert is None else alert, server, security)
        return _why(error, server, security)
    return Answer(server, [*brokers.values()], described)


@asynccontextmanager
async def connection_to(
    server: str, security: Security, *, request_ms: int = CONNECT_MS
) -> AsyncIterator[AIOKafkaConnection]:
    """Connect to `host:port`, or raise KafkaError, OSError, ValueError; socket.gaierror: the name does not resolve."""
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    # uvloop continues a look-up whose connection was cancelled, and logs its error: look the name up here first.
    try:
        async with asyncio.timeout(LOOK_UP_S):
            await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    except TimeoutError:  # a resolver retries after 5 s; this is no timeout of the broker
        raise socket.gaierror(socket.EAI_AGAIN, "no answer from the name server") from None
    connection = await create_conn(host, int(port), request_timeout_ms=request_ms, **security)
    try:
        yield connection
    finally:
        connection.close()


def _of_topic(found: Described | None, topic: str | None) -> Failure | None:
    if found is None:
        return None
    if found.error_code == UNKNOWN_TOPIC:
        return Failure(KAFKA, Cause.TOPIC_MISSING, str(topic))
    if found.error_code == NOT_AUTHORIZED:
        return Failure(KAFKA, Cause.NOT_AUTHORIZED, f"to describe {topic}")
    if leaderless := sum(partition["leader"] < 0 for partition in found.partitions):
        return Failure(KAFKA, Cause.NOT_ENOUGH_REPLICAS, f"{leaderless} partitions of {topic} have no leader")
    if missing := sum(len(partition["isr"]) < len(partition["replicas"]) for partition in found.partitions):
        return Failure(KAFKA, Cause.NOT_ENOUGH_REPLICAS, f"{missing} partitions of {topic} have replicas out of sync")
    return None


def _worst(failures: Sequence[Failure]) -> Failure:
    """Prefer a refusal to an unreachable server, as it says more, and list all servers with this cause."""
    worst = next((each for each in failures if each.cause not in _UNREACHABLE), failures[0])
    details = dict.fromkeys(each.detail for each in failures if each.cause is worst.cause)
    return Failure(KAFKA, worst.cause, "; ".join(details))


def _why(error: Exception, server: str, security: Security) -> Failure:
    kind = type(error).__name__
    cause, detail = Cause.OUT_OF_REACH, f"{server}: {getattr(error, 'strerror', None) or kind}"
    if isinstance(error, TokenUnavailable):
        cause, detail = Cause.NO_TOKEN, str(error)
    elif refusal := _refusal(error, security):
        cause, detail = Cause.NOT_AUTHENTICATED, f"{server} {refusal}"
    elif isinstance(error, ssl.SSLError):
        cause, detail = Cause.TLS, f"{server}: {getattr(error, 'verify_message', '') or error.reason or kind}"
    elif isinstance(error, socket.gaierror):
        cause, detail = Cause.NAME_RESOLUTION, server
    elif isinstance(error, TimeoutError):
        cause, detail = Cause.NO_ANSWER, server
    # asyncio joins the errors of a name's addresses into one text, without an errno
    elif isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        detail = f"{server}: connection refused"
    elif isinstance(error, errors.KafkaError | ConnectionResetError | ConnectionAbortedError | ValueError):
        protocol = security.get("security_protocol", "PLAINTEXT")
        detail = f"{server} closed the connection: is its security protocol {protocol}? {kind}"
    return Failure(KAFKA, cause, detail)


def _refusal(error: Exception, security: Security) -> str:
    """Return which of our credentials a broker refuses; empty for other errors."""
    if alert := _alert(error):
        context = security.get("ssl_context")
        if isinstance(context, RenewableContext) and context.presents_certificate:
            return f"refuses the client certificate in KAFKA_SSL_CERT_FILE: {alert}"
        return f"requires a client certificate, and KAFKA_SSL_CERT_FILE is not set: {alert}"
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return "does not support this KAFKA_SASL_MECHANISM"
    if not isinstance(error, REFUSALS):
        return ""
    if tokens := security.get("sasl_oauth_token_provider"):
        tokens.forget()  # it may be valid for an hour, and the next one may be accepted
        return "refuses the access token: audience, issuer, signing key and scope must be as it expects"
    return f"refuses KAFKA_SASL_USERNAME and password: {type(error).__name__}"


def _alert(error: BaseException | None) -> str:
    """Return a broker's TLS alert (RFC 8446 6.2), which may be the cause of aiokafka's error; else nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and (found := _ALERT.search(error.reason or "")):
            return found[1].replace("_", " ").lower()
        error = error.__cause__ or error.__context__
    return ""


def _forget_frames(error: BaseException | None) -> None:
    """Break the cycle of the failed connection and its error: asyncio warns when such a connection is collected."""
    chain = [error] if error else []
    for each in chain:
        each.__traceback__ = None
        chain += [more for more in (each.__cause__, each.__context__) if more and more not in chain]
