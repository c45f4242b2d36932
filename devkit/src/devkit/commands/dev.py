"""`auth-service dev`: everything on this machine, until Ctrl-C."""

import asyncio
import logging
import re
import time
import webbrowser
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.text import Text

from application.errors import ApplicationError
from application.relay.topics import STATE
from devkit.fake_clerk.defaults import DATA_FILE as CLERK_FILE
from devkit.local.environment import DATA_DIR, NO_FILE, settings_of_last_dev, write_environment
from devkit.local.frontend import origins, serve_frontend
from devkit.local.plan import Plan, plan_of, port_again
from devkit.local.process import Part, ProcessFailedError, ServiceProcess, raise_if_ended, stop_all, until_ready
from devkit.local.program import program
from devkit.local.reload import noticing, reload_on_change, source_folders
from devkit.servers.data_dir import locked
from devkit.servers.errors import EmbeddedStackError
from devkit.servers.stack import embedded_stack
from entrypoints.cli.confirmation import Yes, confirm
from entrypoints.cli.exit_codes import EX_NOT_DONE
from entrypoints.cli.options import between
from entrypoints.cli.terminal import console_for_stdout, fail
from entrypoints.cli.until_signal import run_until_signal
from entrypoints.composition import container_of
from entrypoints.composition.database import DatabaseContainer
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.loading import load
from entrypoints.config.settings import EventsSettings, MigrateSettings

_WATCH_S = 0.2
_COLOURS = {"serve": "cyan", "relay": "magenta", "clerk-stand-in": "yellow"}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def dev(  # noqa: PLR0913  # the options of a command
    *,
    data_dir: Path = DATA_DIR,
    port: Annotated[int | None, between(1, 65_535)] = None,
    fresh: bool = False,
    open: bool = False,  # noqa: A002  # the option's name
    reload: bool = False,
    yes: Yes = False,
) -> None:
    """Run the whole service on this machine, with a real PostgreSQL and a real Kafka, until Ctrl-C.

    Needs no Docker, no Java and no Clerk account: unless CLERK_* variables (environment or `.env`) name your Clerk
    instance, a stand-in for Clerk runs too, with a console to sign users up, ban and delete them, and to see what
    happened to each of them. DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS are not read. The first start downloads Kafka
    (45 MB). All other commands in a second terminal use this instance.

    Parameters
    ----------
    data_dir
        Folder for users, events and keys, which are kept for the next start.
    port
        Port of the service, instead of PORT (3002).
    fresh
        Delete the users and events of earlier starts. Asks for confirmation if there are any.
    open
        Open the console in your browser when everything is ready; with a Clerk instance, the service's own page.
    reload
        Restart the service and the relay when one of their Python files changes; everything else keeps running.
    """
    if fresh and settings_of_last_dev(data_dir):
        confirm(f"Delete the users and events in {data_dir}?", yes=yes)
    logging.basicConfig(level=logging.CRITICAL)  # the processes write their own logs
    console = console_for_stdout()
    began = time.monotonic()
    try:
        with locked(data_dir, "auth-service dev") as lock:
            plan = plan_of(data_dir, port, lock)
            with _frontend(plan):
                main = _dev(plan, console, fresh=fresh, show=open, reload=reload, began=began)
                status = run_until_signal(main, on_signal=lambda: console.print("\nStopping ..."))
    except (EmbeddedStackError, ProcessFailedError, ApplicationError) as error:
        fail(str(error), EX_NOT_DONE)
    except KeyboardInterrupt:
        status = None
    if status is None:
        console.print(f"Stopped. The data stays in {data_dir}.")


def _frontend(plan: Plan) -> AbstractContextManager[None]:
    if plan.frontend is None:
        return nullcontext()
    return serve_frontend(port=plan.frontend, api=plan.http.base_url, mint=plan.mint)


async def _dev(  # noqa: PLR0913  # the options of the command
    plan: Plan, console: Console, *, fresh: bool, show: bool, reload: bool, began: float
) -> int:
    last = settings_of_last_dev(plan.data_dir)
    async with embedded_stack(
        plan.data_dir,
        fresh=fresh,
        progress=lambda line: console.print(Text(line, style="dim")),
        postgres_port=port_again(last.get("DATABASE_URL")),
        kafka_port=port_again(last.get("KAFKA_BOOTSTRAP_SERVERS")),
    ) as stack:
        servers = {
            "DATABASE_URL": stack.postgres.dsn,
            "KAFKA_BOOTSTRAP_SERVERS": stack.kafka.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
            "KAFKA_USER_STATE_TOPIC": plan.environment.get("KAFKA_USER_STATE_TOPIC") or STATE.default_name,
        }
        # Set here, so that it is not read from the output of the last start, and so that a file that the shell names
        # for the real service does not contradict this address.
        others = {
            name: text for name, text in plan.environment.items() if not name.startswith(("KAFKA_SASL_", "KAFKA_SSL_"))
        }
        environment = {
            **others,
            **servers,
            "DATABASE_URL_FILE": "",
            "PORT": str(plan.http.port),
            "ROOT_LINKS": plan.root_links,
        }
        await _prepare(environment)
        if fresh:
            (plan.data_dir / CLERK_FILE).unlink(missing_ok=True)
        async with (
            noticing(source_folders()) if reload else nullcontext(lambda: None) as changed,
            _processes(plan.commands, environment, plan.lock, console) as processes,
        ):
            parts: list[Part] = [*processes, stack.postgres, stack.kafka]
            await until_ready(f"{plan.http.base_url}/health", parts)
            if plan.clerk_url:
                await until_ready(f"{plan.clerk_url}/.well-known/jwks.json", parts)
            port = {"PORT": str(plan.http.port)}
            file = write_environment(plan.data_dir, {**servers, **port, **plan.made_up})
            _greet(plan, servers, file, console, seconds=time.monotonic() - began)
            page = plan.clerk_url or plan.http.base_url
            if show and not await asyncio.to_thread(webbrowser.open, page):
                console.print(Text(f"No browser could be opened: open {page}", style="yellow"))
            if reload:
                start = partial(_start, environment=environment, lock=plan.lock, console=console)
                await reload_on_change(changed, processes, [stack.postgres, stack.kafka], start, console.print)
            while True:
                raise_if_ended(parts)
                await asyncio.sleep(_WATCH_S)


async def _prepare(environment: Mapping[str, str]) -> None:
    """Create the schema and the topics."""
    database = container_of(DatabaseContainer, load(MigrateSettings, environment=environment, env_file=NO_FILE))
    await database.migrate("head")
    kafka = container_of(TopicsContainer, load(EventsSettings, environment=environment, env_file=NO_FILE))
    await kafka.create_topics()


@asynccontextmanager
async def _processes(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], lock: int, console: Console
) -> AsyncIterator[list[ServiceProcess]]:
    processes: list[ServiceProcess] = []
    try:
        for command in commands:
            processes.append(_start(command, environment=environment, lock=lock, console=console))  # noqa: PERF401  # stopped below
        yield processes
    finally:
        await stop_all(processes)


def _start(command: Sequence[str], *, environment: Mapping[str, str], lock: int, console: Console) -> ServiceProcess:
    name = command[0]

    def show(line: str) -> None:
        text = Text.from_ansi(line) if console.is_terminal else Text(_ANSI.sub("", line))
        console.print(Text.assemble((f"{name} | ", _COLOURS[name]), text))

    return ServiceProcess(command, environment=environment, cwd=Path.cwd(), lock=lock, on_line=show)


def _greet(plan: Plan, servers: Mapping[str, str], file: Path, console: Console, *, seconds: float) -> None:
    name = program()
    elsewhere = plan.data_dir != DATA_DIR
    where = f" --data-dir {plan.data_dir}" if elsewhere else ""
    file_option = f" --env-file {file}" if elsewhere else ""
    address = plan.http.base_url
    console.print(Text(f"\nReady after {seconds:.1f} s", style="bold green"))
    page = [("Frontend", f"{origins(plan.frontend)[0]}   (examples/frontend)")] if plan.frontend else []
    if plan.clerk_url:
        page.insert(0, ("Clerk", f"{plan.clerk_url}   (a stand-in, with a console: what happened to each user)"))
    for what, value in (
        ("Service", f"{address}   API: {address}/schema"),
        *page,
        ("PostgreSQL", servers["DATABASE_URL"]),
        ("Kafka", servers["KAFKA_BOOTSTRAP_SERVERS"]),
        ("Variables", f"{file}"),
    ):
        console.print(Text.assemble((f"  {what:<12}", "cyan"), value))
    commands = [
        (f"{name} trigger{where} user.created --user user_ada", "a user signs up"),
        (f"{name} trigger{where} user.updated --user user_ada --set first_name=Augusta", "and of a change"),
        (f"{name} events tail{file_option} --from-beginning", "what other services receive"),
    ]
    if "CLERK_JWT_KEY" in plan.made_up:
        token = f"$({name} token{where} --user user_ada)"
        commands.insert(1, (f'curl -i {address}/v1/me -H "Authorization: Bearer {token}"', "who am I?"))
    if plan.clerk_url:
        users = f"{plan.clerk_url}/v1/users"
        key = f'-H "Authorization: Bearer {plan.environment["CLERK_SECRET_KEY"]}"'
        form = """-d '{"email_address": ["grace@example.org"]}'"""
        commands.append((f"curl {key} {users} {form}", "sign a user up at Clerk"))
        commands.append((f"curl {key} -X POST {users}/user_.../ban", "and ban"))
    console.print(Text("\nTry, in a second terminal:", style="bold"))
    for command, what in commands:
        console.print(Text.assemble(f"  {command}", (f"   # {what}", "dim")))
    console.print(f"\nCtrl-C stops everything; the data stays in {plan.data_dir}.\n")
