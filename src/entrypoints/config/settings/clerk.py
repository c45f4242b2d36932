"""Clerk: its webhooks, its session tokens, its Backend API."""

# ruff: noqa: RUF009  # a field is declared by a call

from attrs import NOTHING, frozen

from application.users.signing_key import SigningKey
from entrypoints.config import clerk_values, parsing
from entrypoints.config.clerk_values import PublicKey, PublishableKey
from entrypoints.config.secret import Secret
from entrypoints.config.settings.variable import variable


@frozen
class WebhookSettings:
    clerk_webhook_secret: Secret[tuple[SigningKey, ...]] = variable(
        parsing.secret(parsing.comma_separated(clerk_values.webhook_secret)),
        "Signing secret of the webhook endpoint (dashboard > Webhooks). Several while rotating, comma-separated.",
        example=clerk_values.WEBHOOK_SECRET_EXAMPLE,
        default=NOTHING,
        in_file=True,
    )


@frozen
class TokenSettings:
    """How session tokens are verified: by a configured key (no network), or by Clerk's published keys."""

    # fmt: off
    clerk_publishable_key: PublishableKey | None = variable(clerk_values.publishable_key,
        "Clerk dashboard > API keys. The token issuer and the JWKS address follow from it.",
        example="pk_test_Y2xlcmsuZXhhbXBsZS5jb20k")
    clerk_jwt_key: PublicKey | None = variable(clerk_values.public_key,
        "The instance's RSA public key in PEM (API keys > JWKS public key): tokens are then verified without network.",
        example='"-----BEGIN PUBLIC KEY-----\\nMIIB…\\n-----END PUBLIC KEY-----"',  # a whole one fills five lines
        in_file=True)
    clerk_issuer: str | None = variable(clerk_values.issuer,
        "Token issuer, when it does not follow from the publishable key (a proxied Frontend API).",
        example="https://clerk.example.com")
    clerk_jwks_url: str | None = variable(clerk_values.jwks_url,
        "Address of the public keys, if it does not follow from the publishable key. The Backend API's "
        "(`https://api.clerk.com/v1/jwks`) is asked with CLERK_SECRET_KEY.",
        example="https://clerk.example.com/.well-known/jwks.json")
    clerk_authorized_parties: tuple[str, ...] = variable(parsing.comma_separated(parsing.origin),
        "Origins of your frontends, comma-separated: a token's `azp` must be one of them, and CORS admits them. Unset: "
        "any, and the session cookie is not read. Apps and extensions too: `chrome-extension://<id>`, `capacitor://localhost`.",
        example="https://app.example.com,http://localhost:5173", default=())
    # fmt: on

    @property
    def issuer(self) -> str | None:
        """The `iss` that tokens must carry; `None` when only a key was configured."""
        return self.clerk_issuer or (self.clerk_publishable_key.issuer if self.clerk_publishable_key else None)

    @property
    def jwks_url(self) -> str | None:
        return self.clerk_jwks_url or (f"{self.issuer}/.well-known/jwks.json" if self.issuer else None)


@frozen
class ClerkApiSettings:
    # fmt: off
    clerk_secret_key: Secret[str] | None = variable(parsing.secret(clerk_values.secret_key),
        "Backend API key. With it a user who signs in before the webhook arrives is read from Clerk.",
        example=clerk_values.SECRET_KEY_EXAMPLE, in_file=True)
    clerk_api_url: str = variable(clerk_values.api_url, "Clerk's Backend API.", default=clerk_values.BACKEND_API)
    # fmt: on

    @property
    def keys_url(self) -> str:
        """Where the key set is that is shown to the holder of the secret key alone."""
        return f"{self.clerk_api_url}{clerk_values.BACKEND_KEYS}"


def asks_backend_api(tokens: TokenSettings, api: ClerkApiSettings) -> bool:
    """Tell whether tokens are verified with the Backend API's key set."""
    return tokens.clerk_jwks_url in (api.keys_url, f"{clerk_values.BACKEND_API}{clerk_values.BACKEND_KEYS}")


def secret_key_for_keys(tokens: TokenSettings, api: ClerkApiSettings | None) -> str | None:
    """Return the secret key where the key set is the Backend API's; it is sent to no other server."""
    if api is None or api.clerk_secret_key is None or not asks_backend_api(tokens, api):
        return None
    return api.clerk_secret_key.get_secret_value()
