"""What each command of a developer's machine reads."""

from attrs import frozen

from entrypoints.config.settings import (
    ClerkApiSettings,
    HttpSettings,
    LogSettings,
    ManagementSettings,
    TokenSettings,
    WebhookSettings,
)


@frozen(kw_only=True)
class DevSettings:
    """What `dev` does not provide itself."""

    webhooks: WebhookSettings
    tokens: TokenSettings
    clerk_api: ClerkApiSettings
    management: ManagementSettings
    http: HttpSettings
    log: LogSettings


@frozen(kw_only=True)
class ClerkStandInSettings:
    webhooks: WebhookSettings
    clerk_api: ClerkApiSettings
    http: HttpSettings
    log: LogSettings


@frozen(kw_only=True)
class TriggerSettings:
    webhooks: WebhookSettings
    clerk_api: ClerkApiSettings
    http: HttpSettings


@frozen(kw_only=True)
class TokenCommandSettings:
    tokens: TokenSettings
    clerk_api: ClerkApiSettings


COMMANDS = {
    "dev": DevSettings,
    "clerk-stand-in": ClerkStandInSettings,
    "trigger": TriggerSettings,
    "token": TokenCommandSettings,
}
