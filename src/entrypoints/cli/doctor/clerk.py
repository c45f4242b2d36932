"""Clerk's part of `doctor`: asks about as much as is configured."""

import asyncio
from collections.abc import Awaitable, Callable

from anomalyze_auth import PemKey
from application.doctor.clerk import ClerkFacts, KeySet
from entrypoints.config.settings import ClerkApiSettings, TokenSettings, secret_key_for_keys


async def examine_clerk(
    tokens: TokenSettings | None,
    api: ClerkApiSettings | None,
    *,
    key_set_of: Callable[..., Awaitable[KeySet | None]],
    thumbprint_of: Callable[[PemKey], str],
) -> ClerkFacts:
    """Return what Clerk says to what is configured of it (None where it cannot be used).

    `key_set_of` fetches the key set at a URL, with the `secret_key` where one is given; None without a URL. A failure
    is part of the result, and not raised. `thumbprint_of` is of RFC 7638.
    """
    secret_key = api.clerk_secret_key.get_secret_value() if api and api.clerk_secret_key else None
    publishable_key = tokens.clerk_publishable_key if tokens else None
    public_key = tokens.clerk_jwt_key if tokens else None
    api_keys = f"{api.clerk_api_url.removesuffix('/v1')}/v1/jwks" if api else None
    # A proxied issuer may serve no keys; with a PEM they are not fetched.
    asks = tokens and (publishable_key or tokens.clerk_jwks_url or not public_key)
    of_secret_key, published = await asyncio.gather(
        key_set_of(api_keys if secret_key else None, secret_key=secret_key),
        key_set_of(
            tokens.jwks_url if tokens and asks else None,
            secret_key=secret_key_for_keys(tokens, api) if tokens else None,
        ),
    )
    return ClerkFacts(
        pem_thumbprint=thumbprint_of(public_key.source) if public_key else None,
        of_secret_key=of_secret_key,
        published=published,
    )
