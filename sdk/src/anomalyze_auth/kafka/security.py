"""Security options of FastStream and aiokafka."""

from typing import Any

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLOAuthBearer, SASLPlaintext, SASLScram256, SASLScram512

from anomalyze_auth.kafka.connection import KafkaConnection
from anomalyze_auth.kafka.credentials import Credential
from anomalyze_auth.kafka.tls import RenewableContext, TlsFiles
from anomalyze_auth.kafka.tokens import AccessTokens
from anomalyze_auth.kafka.values import SaslMechanism

_WITH_PASSWORD: dict[SaslMechanism, Any] = {
    SaslMechanism.PLAIN: SASLPlaintext,
    SaslMechanism.SCRAM_SHA_256: SASLScram256,
    SaslMechanism.SCRAM_SHA_512: SASLScram512,
}


class BearerTokens(SASLOAuthBearer):
    """OAUTHBEARER with a token provider, for which FastStream's own class has no argument."""

    __slots__ = ("tokens",)

    def __init__(self, tokens: AccessTokens, **options: Any) -> None:
        super().__init__(**options)
        self.tokens = tokens


def broker_options(security: BaseSecurity | None) -> dict[str, Any]:
    """Security arguments for a `KafkaBroker`."""
    tokens = {"sasl_oauth_token_provider": security.tokens} if isinstance(security, BearerTokens) else {}
    return {"security": security, **tokens}


def client_options(security: BaseSecurity | None) -> dict[str, Any]:
    """Security arguments for aiokafka's clients. Call it for each client: a password may have changed."""
    options = parse_security(security)
    if isinstance(security, BearerTokens):
        options["sasl_oauth_token_provider"] = security.tokens
    return options


def security_of(connection: KafkaConnection) -> BaseSecurity | None:
    """See `KafkaConnection.security`."""
    tls: dict[str, Any] = {"use_ssl": False}
    if connection.protocol.tls:
        files = TlsFiles(
            authorities=connection.ca_file,
            certificate=connection.cert_file,
            key=connection.key_file,
            key_password=connection.key_password,
        )
        tls = {"ssl_context": RenewableContext(files)}
    if not connection.protocol.sasl:
        return BaseSecurity(**tls) if connection.protocol.tls else None
    if connection.mechanism in _WITH_PASSWORD:
        assert connection.username and connection.password  # noqa: S101, PT018  # checked by `contradictions`
        kind = _rereading(_WITH_PASSWORD[connection.mechanism], connection.password)
        security: BaseSecurity = kind(username=connection.username, password="", **tls)
        return security
    return BearerTokens(_tokens(connection), **tls)


def _rereading(kind: type[Any], password: Credential) -> type[Any]:
    """A subclass of `kind` that reads its password at each use: once for each client created with it."""

    class Rereading(kind):  # type: ignore[misc]
        __slots__ = ()
        password = property(lambda _: credential.read(), lambda _, __: None)

    credential = password
    return Rereading


def _tokens(connection: KafkaConnection) -> AccessTokens:
    if connection.mechanism is SaslMechanism.AWS_MSK_IAM:
        from anomalyze_auth.kafka.msk import MskIam  # noqa: PLC0415  (the extra `msk`)

        assert connection.region  # noqa: S101  # checked by `contradictions`
        return AccessTokens(MskIam(connection.region))
    from anomalyze_auth.kafka.oauth import ClientCredentials  # noqa: PLC0415  (it imports httpx)

    assert connection.token_url and connection.client_id and connection.client_secret  # noqa: S101, PT018
    fetch = ClientCredentials(
        connection.token_url, connection.client_id, connection.client_secret, scope=connection.scope
    )
    return AccessTokens(fetch, extensions=dict(connection.extensions))
