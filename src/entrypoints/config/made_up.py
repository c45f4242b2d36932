"""Made-up keys for development, never used beside a Clerk instance's: who has read one could sign in as anybody."""

from collections.abc import Mapping

INSTANCE = frozenset({
    "CLERK_PUBLISHABLE_KEY", "CLERK_JWT_KEY", "CLERK_ISSUER", "CLERK_JWKS_URL", "CLERK_SECRET_KEY", "CLERK_API_URL",
    "CLERK_WEBHOOK_SECRET",
})  # fmt: skip
"""Each of these, set to anything that was not made up, names a Clerk instance."""

NOTE = "# Written by `auth-service dev-keys`; for development.\n"  # the first line, where keys are made up

_OF_INSTANCE = INSTANCE | {"CLERK_AUTHORIZED_PARTIES"}


def instance_names(configured: Mapping[str, str], made_up: Mapping[str, str]) -> list[str]:
    """Return the configured variables, `NAME_FILE` included, that name a Clerk instance."""
    return sorted(
        name
        for name, value in configured.items()
        if name.removesuffix("_FILE") in INSTANCE and not _same(value, made_up.get(name))
    )


def under(configured: Mapping[str, str], made_up: Mapping[str, str]) -> dict[str, str]:
    """Return what is configured, and below it what was made up: nothing of Clerk's beside an instance."""
    left_out = {name.removesuffix("_FILE") for name in configured}  # NAME_FILE says what NAME would
    if instance_names(configured, made_up):
        left_out |= _OF_INSTANCE
    return {**{name: value for name, value in made_up.items() if name not in left_out}, **configured}


def _same(value: str, made_up: str | None) -> bool:
    """Compare two spellings of a value: shells and dotenv libraries keep a PEM's line ends differently."""
    return made_up is not None and value.replace("\\n", "\n").strip() == made_up.replace("\\n", "\n").strip()
