"""`auth-service clerk-stand-in`: a local server in place of Clerk."""

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
from attrs import evolve
from cyclopts import Parameter

from devkit.console.records import Records
from devkit.console.server import CommandLine, ConsoleServer
from devkit.fake_clerk.assembly import stand_in
from devkit.fake_clerk.defaults import DATA_FILE, PORT
from devkit.fake_clerk.deliveries import Endpoint
from devkit.fake_clerk.http_server import listening
from devkit.local.environment import DATA_DIR, NO_FILE, variables
from devkit.local.keys import SECRET_KEY_FILE, keys_kept_in, secret_key_kept_in
from devkit.settings import ClerkStandInSettings
from entrypoints.cli.exit_codes import EX_CONFIG, EX_IOERR, EX_NOT_DONE
from entrypoints.cli.options import between
from entrypoints.cli.terminal import fail
from entrypoints.cli.until_signal import run_until_signal
from entrypoints.config.loading import load
from entrypoints.config.parsing import http_url
from entrypoints.config.settings import EventsSettings, HttpSettings, MigrateSettings
from entrypoints.observability.logging import configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from devkit.fake_clerk.deliveries import DeliveryAttempt

    Watching = Callable[[], Coroutine[Any, Any, None]]

log = structlog.get_logger("clerk-stand-in")


def clerk_stand_in(  # noqa: PLR0913  # options of a command
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, between(0, 65_535)] = PORT,
    endpoint: Annotated[Sequence[str], Parameter(negative="")] = (),
    issuer: str | None = None,
    azp: str | None = None,
    data_dir: Path = DATA_DIR,
) -> None:
    """Serve a stand-in for Clerk's Backend API and send its webhooks: for development and tests, never in production.

    It has users, sessions and signed webhooks without a Clerk account. The console at `/` shows the outcome of each
    webhook, and with DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS also rows, events and consumers. `auth-service dev`
    starts one if no CLERK_* variable names a Clerk instance. CLERK_SECRET_KEY (the API key) and
    CLERK_WEBHOOK_SECRET are generated and stored in the data folder, unless they are configured.

    Parameters
    ----------
    host
        Address to listen on. Everyone who can reach it can do what Clerk can.
    port
        Port to listen on; 0 for a free one.
    endpoint
        URL to send webhooks to; may be repeated. By default the service on this machine (HOST, PORT).
    issuer
        Issuer of the session tokens. By default the service's CLERK_ISSUER, or else the address of this stand-in, which
        serves the keys at `/.well-known/jwks.json`.
    azp
        Authorized party of the session tokens: one of the service's CLERK_AUTHORIZED_PARTIES.
    data_dir
        Folder for users, sessions and keys.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    keys = keys_kept_in(data_dir)
    made_up = {"CLERK_WEBHOOK_SECRET": keys.webhook_secret, "CLERK_SECRET_KEY": secret_key_kept_in(data_dir)}
    configured = variables()
    named = {name.removesuffix("_FILE") for name in configured}
    environment = {**{name: value for name, value in made_up.items() if name not in named}, **configured}
    settings = load(ClerkStandInSettings, environment=environment, env_file=NO_FILE)
    configure_logging(settings.log)
    assert settings.clerk_api.clerk_secret_key  # noqa: S101  # generated if not configured
    secret_key = settings.clerk_api.clerk_secret_key.get_secret_value()
    if secret_key.startswith("sk_live_"):
        fail(
            "CLERK_SECRET_KEY is a live instance's (sk_live_): a stand-in has no business with it. Unset it here.",
            EX_CONFIG,
        )
    service = settings.http.base_url
    issuer = issuer or configured.get("CLERK_ISSUER")
    try:
        signing_secret = settings.webhooks.clerk_webhook_secret.get_secret_value()[0].written
        urls = [http_url(url) for url in endpoint or [f"{service}/webhooks/clerk"]]
        made = stand_in(
            secret_key=secret_key,
            private_key=keys.private_key,
            issuer=issuer or "",
            authorized_party=azp,
            endpoints=[Endpoint(url=url, secrets=(signing_secret,)) for url in urls],
            file=data_dir / DATA_FILE,
        )
        records = Records()
        made.webhooks.on_attempt = _reporting_to(records)
        kept = secret_key == secret_key_kept_in(data_dir)
        key_file = shlex.quote(str(data_dir / SECRET_KEY_FILE))
        console = ConsoleServer(
            made,
            secret_key,
            records,
            CommandLine(
                service=service,
                secret_key=f"$(cat {key_file})" if kept else "$CLERK_SECRET_KEY",
                program=_program(),
                data_dir="" if data_dir == DATA_DIR else str(data_dir),
            ),
        )
        with suppress(KeyboardInterrupt):  # how a server is stopped on a terminal
            run_until_signal(_serve(console, _watch(records, environment), host, port), on_signal=lambda: None)
    except OSError as error:
        # asyncio's message for a used address is not written for users.
        what = f"cannot use {error.filename}" if error.filename else f"cannot listen on --host {host}, --port {port}"
        says = f"The Clerk stand-in {what}: {os.strerror(error.errno) if error.errno else error}."
        fail(says, EX_IOERR if error.filename else EX_NOT_DONE)
    except ValueError as error:
        fail(f"The Clerk stand-in cannot run: {error}", EX_CONFIG)


async def _serve(console: ConsoleServer, watch: "Watching | None", host: str, port: int) -> int:
    stand_in = console.stand_in
    async with listening(console.answer, host=host, port=port) as bound, asyncio.TaskGroup() as tasks:
        if not stand_in.api.tokens.issuer:
            itself = HttpSettings(host=host, port=bound).base_url
            stand_in.api.tokens = evolve(stand_in.api.tokens, issuer=itself)
        log.info("started", url=f"http://{host}:{bound}", users=len(stand_in.instance))
        if watch is not None:
            tasks.create_task(watch())
        await stand_in.run()
    return 0


def _program() -> str:
    """Return the command for a shell: `dev` has started this process as a module."""
    script = Path(sys.executable).with_name("auth-service")
    on_path = shutil.which("auth-service")
    if not script.exists() or (on_path and Path(on_path).resolve() == script.resolve()):
        return "auth-service"
    here = Path.cwd()
    return str(script.relative_to(here) if script.is_relative_to(here) else script)


def _watch(records: Records, environment: Mapping[str, str]) -> "Watching | None":
    """Return the reader of the service's database and topics, if they are configured."""
    named = {name.removesuffix("_FILE") for name, text in environment.items() if text}
    if not named & {"DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"}:
        return None
    # Imported only if needed: the clients of PostgreSQL and Kafka are most of the import time.
    from devkit.console.watch import Watch  # noqa: PLC0415
    from entrypoints.composition import container_of  # noqa: PLC0415
    from entrypoints.composition.database import DatabaseContainer  # noqa: PLC0415

    engine = kafka = None
    if "DATABASE_URL" in named:
        database = load(MigrateSettings, environment=environment, env_file=NO_FILE)
        engine = container_of(DatabaseContainer, database).engine()
    if "KAFKA_BOOTSTRAP_SERVERS" in named:
        settings = load(EventsSettings, environment=environment, env_file=NO_FILE)
        settings.proxies.export()  # for a token endpoint behind a proxy
        kafka = settings.kafka
    return Watch(records, engine, kafka).run


def _reporting_to(records: Records) -> "Callable[[DeliveryAttempt], None]":
    def report(attempt: "DeliveryAttempt") -> None:
        records.add_attempt(attempt)
        write = log.info if attempt.succeeded else log.warning
        write(
            "webhook",
            type=attempt.event,
            user_id=attempt.user_id,
            svix_id=attempt.svix_id,
            attempt=attempt.number,
            outcome=attempt.outcome,
        )

    return report
