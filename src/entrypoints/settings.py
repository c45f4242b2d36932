"""Every variable the service reads, in groups, so that a command asks for no more than it uses."""

# ruff: noqa: RUF009  # a field is declared by a call

import base64
import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Any

import typed_settings as ts
from attrs import NOTHING, frozen
from typed_settings.constants import METADATA_KEY
from typed_settings.types import Secret

from entrypoints import parsing


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class SecurityProtocol(StrEnum):
    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class SaslMechanism(StrEnum):
    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


def _variable(parse: Any, help: str, *, example: str, default: Any = NOTHING) -> Any:  # noqa: A002  # typed-settings' own word
    metadata = {METADATA_KEY: {"parse": parse, "example": example}}
    return ts.option(default=default, help=help, metadata=metadata, kw_only=True)


@frozen
class DatabaseSettings:
    database_url: Secret[str] = _variable(
        parsing.secret(parsing.database_url),
        "PostgreSQL, as everyone writes it. Add `?pgbouncer=true` behind a transaction pooler.",
        example="postgresql://auth:secret@localhost:5432/auth",
    )


@frozen
class WebhookSettings:
    clerk_webhook_secret: Secret[tuple[str, ...]] = _variable(
        parsing.secret(parsing.comma_separated(parsing.webhook_secret)),
        "Signing secret of the webhook endpoint (dashboard > Webhooks). Several while rotating, comma-separated.",
        example="whsec_…",
    )


@frozen
class TokenSettings:
    """How session tokens are verified: by a key at hand (no network), or by Clerk's published keys."""

    clerk_publishable_key: str | None = _variable(
        parsing.publishable_key,
        "Clerk dashboard > API keys. The token issuer and the JWKS address follow from it.",
        example="pk_test_Y2xlcmsuZXhhbXBsZS5jb20k",
        default=None,
    )
    clerk_jwt_key: str | None = _variable(
        parsing.public_key,
        "The instance's RSA public key in PEM (API keys > JWKS public key): tokens are then verified without network.",
        example='"-----BEGIN PUBLIC KEY-----\\nMIIB…\\n-----END PUBLIC KEY-----"',
        default=None,
    )
    clerk_issuer: str | None = _variable(
        parsing.http_url,
        "Token issuer, when it does not follow from the publishable key (a proxied Frontend API).",
        example="https://clerk.example.com",
        default=None,
    )
    clerk_jwks_url: str | None = _variable(
        parsing.http_url,
        "Where the public keys are, when it does not follow from the publishable key.",
        example="https://clerk.example.com/.well-known/jwks.json",
        default=None,
    )
    clerk_authorized_parties: tuple[str, ...] = _variable(
        parsing.comma_separated(parsing.origin),
        "Origins of your frontends, comma-separated: a token's `azp` must be one of them, and CORS admits them.",
        example="https://app.example.com,http://localhost:5173",
        default=(),
    )

    @property
    def issuer(self) -> str | None:
        """The `iss` that tokens must carry; `None` when only a key was configured."""
        if self.clerk_issuer or not self.clerk_publishable_key:
            return self.clerk_issuer
        return f"https://{parsing.frontend_api_host(self.clerk_publishable_key)}"

    @property
    def cookie_suffix(self) -> str | None:
        """What Clerk appends to `__session_` for this instance (@clerk/shared, keys.ts, getCookieSuffix)."""
        if not self.clerk_publishable_key:
            return None
        digest = hashlib.sha1(self.clerk_publishable_key.encode(), usedforsecurity=False).digest()
        return base64.urlsafe_b64encode(digest).decode()[:8]

    @property
    def jwks_url(self) -> str | None:
        return self.clerk_jwks_url or (f"{self.issuer}/.well-known/jwks.json" if self.issuer else None)


@frozen
class ClerkApiSettings:
    clerk_secret_key: Secret[str] | None = _variable(
        parsing.secret(parsing.secret_key),
        "Backend API key. With it a user who signs in before the webhook lands is fetched there and then.",
        example="sk_test_…",
        default=None,
    )
    clerk_api_url: str = _variable(
        parsing.http_url, "Clerk's Backend API.", example="https://api.clerk.com", default="https://api.clerk.com"
    )


@frozen
class KafkaSettings:
    kafka_bootstrap_servers: tuple[str, ...] = _variable(
        parsing.comma_separated(parsing.host_and_port),
        "Kafka brokers, comma-separated. Only `auth-service relay` and the event commands need them.",
        example="localhost:9092",
    )
    kafka_security_protocol: SecurityProtocol = _variable(
        parsing.one_of(SecurityProtocol),
        f"How to reach them: {', '.join(SecurityProtocol)}.",
        example="PLAINTEXT",
        default=SecurityProtocol.PLAINTEXT,
    )
    kafka_sasl_mechanism: SaslMechanism | None = _variable(
        parsing.one_of(SaslMechanism), f"With SASL: {', '.join(SaslMechanism)}.", example="SCRAM-SHA-512", default=None
    )
    kafka_sasl_username: str | None = _variable(
        parsing.text, "With SASL: who we are.", example="auth-service", default=None
    )
    kafka_sasl_password: Secret[str] | None = _variable(
        parsing.secret(parsing.text), "With SASL: the password.", example="secret", default=None
    )
    kafka_ssl_ca_file: Path | None = _variable(
        parsing.existing_file,
        "With SSL: the certificate authority, when it is not one the system trusts.",
        example="/etc/ssl/kafka-ca.pem",
        default=None,
    )
    kafka_user_events_topic: str = _variable(
        parsing.topic,
        "Where user events go. The relay never creates it.",
        example="auth.user.events.v1",
        default="auth.user.events.v1",
    )


@frozen
class HttpSettings:
    host: str = _variable(
        parsing.text, "Address to listen on; 0.0.0.0 for every interface.", example="127.0.0.1", default="127.0.0.1"
    )
    port: int = _variable(parsing.port, "Port to listen on.", example="3002", default=3002)


@frozen
class LogSettings:
    log_level: LogLevel = _variable(
        parsing.one_of(LogLevel), f"{', '.join(LogLevel)}.", example="info", default=LogLevel.INFO
    )
    log_format: LogFormat = _variable(
        parsing.one_of(LogFormat),
        "json for machines, console for people; auto is console on a terminal and json elsewhere.",
        example="json",
        default=LogFormat.AUTO,
    )


@frozen(kw_only=True)
class ServeSettings:
    database: DatabaseSettings
    webhooks: WebhookSettings
    tokens: TokenSettings
    clerk_api: ClerkApiSettings
    http: HttpSettings
    log: LogSettings


@frozen(kw_only=True)
class RelaySettings:
    database: DatabaseSettings
    kafka: KafkaSettings
    log: LogSettings


@frozen(kw_only=True)
class MigrateSettings:
    database: DatabaseSettings
    log: LogSettings


@frozen(kw_only=True)
class DevSettings:
    """What `dev` does not provide itself."""

    webhooks: WebhookSettings
    tokens: TokenSettings
    clerk_api: ClerkApiSettings
    http: HttpSettings
    log: LogSettings


@frozen(kw_only=True)
class TriggerSettings:
    webhooks: WebhookSettings
    http: HttpSettings


@frozen(kw_only=True)
class TokenCommandSettings:
    tokens: TokenSettings


@frozen(kw_only=True)
class DoctorSettings:
    database: DatabaseSettings
    kafka: KafkaSettings


@frozen(kw_only=True)
class OutboxSettings:
    database: DatabaseSettings


@frozen(kw_only=True)
class EventsSettings:
    kafka: KafkaSettings
