"""The adapters to Clerk, made of the settings of a command."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from anomalyze_auth import JwksKeys, KeySource, PemKey, SessionVerifier
from application.ports import IdentityProvider, WebhookReader
from entrypoints.settings import ClerkApiSettings, TokenSettings, WebhookSettings

if TYPE_CHECKING:
    from adapters.clerk.stand_in import ClerkStandIn

# Adapters are imported where they are made: svix alone takes 0.4 s, and no process needs all of them.
# ruff: noqa: PLC0415


def webhook_reader(settings: WebhookSettings) -> WebhookReader:
    from adapters.clerk.webhooks import ClerkWebhooks

    return ClerkWebhooks(settings.clerk_webhook_secret.get_secret_value())


def clerk_stand_in(settings: WebhookSettings) -> "ClerkStandIn":
    from adapters.clerk.stand_in import ClerkStandIn

    return ClerkStandIn(settings.clerk_webhook_secret.get_secret_value()[0])


def mint_session_token() -> Callable[..., str]:
    from adapters.clerk.session_tokens import mint_session_token

    return mint_session_token


def identities(settings: ClerkApiSettings) -> IdentityProvider:
    from adapters.clerk.identities import ClerkIdentities, NoIdentities

    if settings.clerk_secret_key is None:
        return NoIdentities()
    return ClerkIdentities(
        settings.clerk_secret_key.get_secret_value(), settings.clerk_api_url, now_ms=lambda: time.time_ns() // 1_000_000
    )


def session_keys(settings: TokenSettings) -> KeySource:
    if settings.clerk_jwt_key:
        return PemKey(settings.clerk_jwt_key)
    assert settings.jwks_url  # noqa: S101  # entrypoints.configuration refuses settings without either
    return JwksKeys(settings.jwks_url)


def session_verifier(keys: KeySource, settings: TokenSettings) -> SessionVerifier:
    return SessionVerifier(keys, issuer=settings.issuer, authorized_parties=settings.clerk_authorized_parties)
