"""`auth-service token`: create a session token for local work."""

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import httpx
from cyclopts import Parameter

from devkit.fake_clerk.client import stand_in_of
from devkit.fake_clerk.session_tokens import mint_session_token
from devkit.local.environment import DATA_DIR, load_beside_dev
from devkit.local.keys import ISSUER, PRIVATE_KEY_FILE, public_half
from devkit.settings import TokenCommandSettings
from domain.user import InvalidUserIdError, parse_user_id
from entrypoints.cli.exit_codes import EX_CONFIG, EX_IOERR, EX_USAGE
from entrypoints.cli.options import between
from entrypoints.cli.terminal import fail
from entrypoints.config import parsing
from entrypoints.config.settings import ClerkApiSettings, TokenSettings

SAMPLE_USER = "user_ada"


def token(  # noqa: PLR0913  # the options of a command
    *,
    user: str = SAMPLE_USER,
    org: str | None = None,
    permission: Annotated[Sequence[str], Parameter(negative="")] = (),
    azp: str | None = None,
    lifetime: Annotated[int, between(-31_536_000, 31_536_000)] = 60,
    data_dir: Path = DATA_DIR,
) -> None:
    """Create a session token as Clerk does, for the `auth-service dev` of this machine. Prints only the token.

    For example `curl http://localhost:3002/v1/me -H "Authorization: Bearer $(auth-service token --user user_ada)"`.
    Works with the key that `auth-service dev` generated; only Clerk can sign tokens of a real instance. Warns on stderr
    if the stand-in for Clerk has no such user.

    Parameters
    ----------
    user
        The user in the token (`user_…`).
    org
        Id of the active organization (`org_…`), with the user as its admin.
    permission
        A permission of the user in it; may be repeated. `org:users:manage` in `org_dev` gives access to `/v1/users`.
    azp
        Authorized party, the origin of the frontend; the first of CLERK_AUTHORIZED_PARTIES by default.
    lifetime
        Seconds until it expires, at most a year; 60 for Clerk's tokens. Negative for one that has expired.
    data_dir
        Data folder of `auth-service dev`.
    """
    everything = load_beside_dev(TokenCommandSettings, data_dir)
    if permission and not org:
        fail("--permission: permissions belong to an organization; name one with --org.", EX_USAGE)
    try:
        permissions = [parsing.permission(name) for name in permission]
    except ValueError as error:
        fail(f"--permission: {error}.", EX_USAGE)
    settings = everything.tokens
    private_key = key_of_dev(settings, data_dir)
    try:
        who = parse_user_id(user)
    except InvalidUserIdError as error:
        fail(f"--user {user}: {error}.", EX_USAGE)
    minted = mint_session_token(
        private_key,
        user_id=who,
        issuer=settings.issuer or ISSUER,
        now_s=int(time.time()),
        lifetime_s=lifetime,
        authorized_party=azp or next(iter(settings.clerk_authorized_parties), None),
        organization_id=org,
        permissions=permissions,
    )
    _warn_of_unknown(everything.clerk_api, who)
    print(minted)


def _warn_of_unknown(settings: ClerkApiSettings, who: str) -> None:
    """Warn if the stand-in has no such user: Clerk would not sign a token for one, and the service answers 404."""
    stand_in = stand_in_of(settings)
    try:
        if stand_in and stand_in.user(who) is None:
            print(
                f"The stand-in for Clerk has no user {who}: /v1/me will answer 404. Create one with "
                f"`auth-service trigger user.created --user {who}`.",
                file=sys.stderr,
            )
    except httpx.HTTPError:
        pass  # it does not run: the service's answer shows whether it has the user


def key_of_dev(settings: TokenSettings, data_dir: Path) -> str:
    """Return the private key that `dev` generated; exits if the service would not trust it."""
    file = data_dir / PRIVATE_KEY_FILE
    if settings.clerk_jwt_key is None:
        fail(
            "Session tokens are verified here with the keys of a Clerk instance (CLERK_PUBLISHABLE_KEY or "
            "CLERK_JWKS_URL is set), and only Clerk can sign with those.\n"
            "Sign in at your frontend, or run `auth-service dev` without these variables.",
            EX_CONFIG,
        )
    try:
        private_key = file.read_text()
        fits = _body(public_half(private_key)) == _body(settings.clerk_jwt_key.written)
    except FileNotFoundError:
        fail(
            f"There is no key to sign with: {file} is missing. `auth-service dev` creates it; this command is for "
            "local work, and a deployed service has no such key.\n"
            "Run it in the folder where `dev` runs, or name its data folder with --data-dir.",
            EX_CONFIG,
        )
    except (OSError, ValueError) as error:
        fail(f"{file} cannot be used: {error}.\nRemove it: the next `auth-service dev` creates a new one.", EX_IOERR)
    if not fits:
        fail(
            f"CLERK_JWT_KEY is not the public key of {file}: the service would refuse the token.\n"
            "Only Clerk can sign tokens for that key; unset CLERK_JWT_KEY to work with `auth-service dev`.",
            EX_CONFIG,
        )
    return private_key


def _body(pem: str) -> str:
    """Return the base64 of a PEM key without line ends."""
    return "".join(re.sub(r"-----[A-Z ]+-----", "", pem.replace("\\n", "\n")).split())
