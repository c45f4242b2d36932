"""`auth-service dev-keys`: what Clerk would give, for a deployment that has no Clerk."""

from pathlib import Path

from entrypoints.configuration import variables
from entrypoints.local.environment import DATA_DIR, NO_FILE, assignments, under
from entrypoints.local.keys import ISSUER, keys_kept_in, secret_key_kept_in, write_private


def dev_keys(*, folder: Path = Path(), clerk_api: str | None = None) -> None:
    """Make up keys for a service that runs without a Clerk instance: for development, never for production.

    Writes `.env` into the folder, for the commands that run there: a webhook secret and a key for session tokens,
    random and kept for the next time, unless the environment configures them. With a Clerk instance in the environment
    nothing is made up, so that what is missing is told by name.

    Parameters
    ----------
    folder
        Where `serve`, `trigger`, `token` and `clerk-stand-in` will run.
    clerk_api
        URL of the Clerk stand-in that has these keys, where one runs.
    """
    data_dir = folder / DATA_DIR
    data_dir.mkdir(parents=True, exist_ok=True)
    keys = keys_kept_in(data_dir)
    made_up = {**keys.environment, "CLERK_ISSUER": ISSUER}
    if clerk_api:
        made_up |= {"CLERK_API_URL": clerk_api, "CLERK_SECRET_KEY": secret_key_kept_in(data_dir)}
    configured = variables(env_file=NO_FILE)
    effective = under(configured, made_up)
    used = {name: value for name, value in made_up.items() if name not in configured and name in effective}
    if "CLERK_JWT_KEY" not in used:
        used = {}
    write_private(folder / ".env", "# Written by `auth-service dev-keys`; for development.\n" + assignments(used))
    print(
        f"DEVELOPMENT keys for {', '.join(sorted(used))} in {folder.resolve()}; not for production."
        if used
        else "CLERK_* variables name an instance: no keys are made up, and no stand-in for Clerk is needed."
    )
