"""The adapters to Clerk, made of the settings of a command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from anomalyze_auth import JwksKeys, KeySource, PemKey, RequestVerifier, SessionVerifier, cookie_suffix_of
from application.doctor.clerk import ClerkFacts
from application.users.ports import ClerkUsers, WebhookReader
from entrypoints.config.clerk_values import frontend_api_host
from entrypoints.config.settings import ClerkApiSettings, TokenSettings, WebhookSettings, asks_backend_api

if TYPE_CHECKING:
    from adapters.clerk.backend_api import Backend

# Adapters are imported where they are made: svix alone takes 0.4 s, and no process needs all of them.
# ruff: noqa: PLC0415


def webhook_reader(settings: WebhookSettings) -> WebhookReader:
    from adapters.clerk.webhooks import ClerkWebhooks

    return ClerkWebhooks(settings.clerk_webhook_secret.get_secret_value())


def backend(settings: ClerkApiSettings) -> "Backend":
    from adapters.clerk.backend_api import BackendApi, NoBackend

    if settings.clerk_secret_key is None:
        return NoBackend()
    return BackendApi(settings.clerk_secret_key.get_secret_value(), settings.clerk_api_url)


def hasty_identities(api: "Backend", now_ms: Callable[[], int]) -> ClerkUsers:
    from adapters.clerk.identities import INTERACTIVE, ClerkIdentities

    return ClerkIdentities(api, INTERACTIVE, now_ms=now_ms)


def identities(api: "Backend", now_ms: Callable[[], int]) -> ClerkUsers:
    from adapters.clerk.identities import BACKGROUND, ClerkIdentities

    return ClerkIdentities(api, BACKGROUND, now_ms=now_ms)


def session_keys(settings: TokenSettings, api: ClerkApiSettings) -> KeySource:
    if settings.clerk_jwt_key:
        return PemKey(settings.clerk_jwt_key)
    assert settings.jwks_url  # noqa: S101  # entrypoints.config.loading refuses settings without either
    secret_key = _key_for_keys(settings, api)
    return JwksKeys(settings.jwks_url, headers={"Authorization": f"Bearer {secret_key}"} if secret_key else None)


def _key_for_keys(tokens: TokenSettings, api: ClerkApiSettings | None) -> str | None:
    """Return the secret key where the key set is the Backend API's; nobody else is shown it."""
    if api is None or api.clerk_secret_key is None or not asks_backend_api(tokens, api):
        return None
    return api.clerk_secret_key.get_secret_value()


def session_verifier(keys: KeySource, settings: TokenSettings) -> SessionVerifier:
    return SessionVerifier(keys, issuer=settings.issuer, authorized_parties=settings.clerk_authorized_parties)


def request_verifier(verifier: SessionVerifier, settings: TokenSettings) -> RequestVerifier:
    key = settings.clerk_publishable_key
    suffix = cookie_suffix_of(key) if key else None
    return RequestVerifier(verifier, cookie_suffix=suffix, cookies=bool(verifier.authorized_parties))


def examine_clerk() -> Callable[[TokenSettings | None, ClerkApiSettings | None], Awaitable[ClerkFacts]]:
    """Return what asks Clerk about as much as is configured."""
    from adapters.clerk.doctor import key_set_of, thumbprint_of_pem

    async def examined(tokens: TokenSettings | None, api: ClerkApiSettings | None) -> ClerkFacts:
        secret_key = api.clerk_secret_key.get_secret_value() if api and api.clerk_secret_key else None
        publishable_key = tokens.clerk_publishable_key if tokens else None
        pem = tokens.clerk_jwt_key if tokens else None
        api_keys = f"{api.clerk_api_url.removesuffix('/v1')}/v1/jwks" if api else None
        # A proxied issuer alone does not say that it serves keys; beside a PEM nobody asks it for any.
        asks = tokens and (publishable_key or tokens.clerk_jwks_url or not pem)
        of_secret_key, published = await asyncio.gather(
            key_set_of(api_keys if secret_key else None, secret_key=secret_key),
            key_set_of(
                tokens.jwks_url if tokens and asks else None,
                secret_key=_key_for_keys(tokens, api) if tokens else None,
            ),
        )
        return ClerkFacts(
            secret_key_kind=_kind(secret_key),
            publishable_key_kind=_kind(publishable_key),
            tokens=tokens is not None,
            issuer=tokens.issuer if tokens else None,
            issuer_of_publishable_key=f"https://{frontend_api_host(publishable_key)}" if publishable_key else None,
            pem_thumbprint=thumbprint_of_pem(pem) if pem else None,
            authorized_parties=len(tokens.clerk_authorized_parties) if tokens else 0,
            of_secret_key=of_secret_key,
            published=published,
        )

    return examined


def _kind(key: str | None) -> str | None:
    """`test` or `live`: the second part of any Clerk key."""
    return key.split("_")[1] if key else None
