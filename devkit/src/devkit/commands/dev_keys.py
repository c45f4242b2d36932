"""`auth-service dev-keys`: generated keys for a deployment without Clerk."""

from pathlib import Path

from devkit.local.environment import DATA_DIR, NO_FILE, assignments, variables
from devkit.local.keys import ISSUER, keys_kept_in, secret_key_kept_in
from devkit.local.private_file import write_private
from entrypoints.cli.terminal import fail
from entrypoints.config.made_up import NOTE, instance_names


def dev_keys(*, folder: Path = Path(), clerk_api: str | None = None) -> None:
    """Generate keys for a service that runs without a Clerk instance: for development, never for production.

    Writes a `.env` for the commands that run in the folder: a random webhook secret and a random key for session
    tokens, which are kept for the next time. If the environment or your own `.env` has a variable of a Clerk instance,
    no keys are generated, so that missing variables are reported. Your own `.env` is never changed.

    Parameters
    ----------
    folder
        Where `serve`, `trigger`, `token` and `clerk-stand-in` will run.
    clerk_api
        URL of a running Clerk stand-in with these keys; it is the issuer of the tokens too.
    """
    file = folder / ".env"
    is_ours = not file.exists() or file.read_bytes().startswith(NOTE.encode())
    configured = variables(env_file=NO_FILE if is_ours else file)
    data_dir = folder / DATA_DIR
    data_dir.mkdir(parents=True, exist_ok=True)
    made_up = {**keys_kept_in(data_dir).environment, "CLERK_ISSUER": clerk_api or ISSUER}
    if clerk_api:
        made_up |= {"CLERK_API_URL": clerk_api, "CLERK_SECRET_KEY": secret_key_kept_in(data_dir)}
    if named := instance_names(configured, made_up):
        if is_ours:
            write_private(file, NOTE)
        print(
            f"{', '.join(named)}: a Clerk instance is configured, so no keys are generated "
            "and no stand-in for Clerk is needed."
        )
        return
    if not is_ours:
        fail(f"{file} was not written by dev-keys: it is not changed. Move it away, or name another --folder.", 1)
    write_private(file, NOTE + assignments(made_up))
    print(f"DEVELOPMENT keys for {', '.join(sorted(made_up))} in {folder.resolve()}; not for production.")
