"""`auth-service dev`: everything on this machine, until Ctrl-C."""

import asyncio
import logging
import os
import re
import sys
import time
import webbrowser
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

from attrs import field, frozen
from rich.console import Console
from rich.text import Text

from application.errors import ApplicationError
from application.relay.topics import STATE
from devkit.fake_clerk.defaults import DATA_FILE as CLERK_FILE
from devkit.fake_clerk.defaults import PORT as CLERK_PORT
from devkit.fake_clerk.session_tokens import mint_session_token
from devkit.local.environment import DATA_DIR, NO_FILE, settings_of_last_dev, write_environment
from devkit.local.frontend import FOLDER as FRONTEND_FOLDER
from devkit.local.frontend import PORT as FRONTEND_PORT
from devkit.local.frontend import Mint, origins, serve_frontend
from devkit.local.keys import ORGANIZATION, keys_kept_in, secret_key_kept_in
from devkit.local.process import Part, ProcessFailedError, ServiceProcess, raise_if_ended, stop_all, until_ready
from devkit.local.reload import noticing, reload_on_change, source_folders
from devkit.servers.data_dir import locked
from devkit.servers.errors import EmbeddedStackError
from devkit.servers.ports import free_port, require_free
from devkit.servers.stack import embedded_stack
from devkit.settings import DevSettings
from domain.user import parse_user_id
from entrypoints.cli.confirmation import Yes, confirm
from entrypoints.cli.exit_codes import EX_CONFIG
from entrypoints.cli.terminal import console_for_stdout, fail, program
from entrypoints.cli.until_signal import run_until_signal
from entrypoints.composition import container_of
from entrypoints.composition.database import DatabaseContainer
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.loading import load
from entrypoints.config.made_up import instance_names, under
from entrypoints.config.settings import EventsSettings, HttpSettings, MigrateSettings, ProxySettings
from entrypoints.config.settings.catalogue import variables_of
from entrypoints.config.sources import ConfigurationError, variables

READY_S = 30.0
_WATCH_S = 0.2
_COLOURS = {"serve": "cyan", "relay": "magenta", "clerk-stand-in": "yellow"}
_PROXIES = {variable.name for variable in variables_of(ProxySettings)}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@frozen(kw_only=True)
class _Plan:
    """What is known before anything is started: where, on which port, and with which variables."""

    data_dir: Path
    lock: int
    http: HttpSettings
    environment: Mapping[str, str] = field(repr=False)
    made_up: Mapping[str, str] = field(repr=False)
    """Those of the variables that no second terminal can know."""
    frontend: int | None
    """Port of the example page; `None` where tokens are a real Clerk instance's, whose frontend is not this page."""
    mint: Mint | None = field(repr=False)
    clerk: int | None
    """Port of the Clerk stand-in; `None` where a real instance is configured."""


def dev(  # noqa: PLR0913  # the options of a command
    *,
    data_dir: Path = DATA_DIR,
    port: int | None = None,
    fresh: bool = False,
    open: bool = False,  # noqa: A002  # the option's name
    reload: bool = False,
    yes: Yes = False,
) -> None:
    """Run the whole service on this machine, with a real PostgreSQL and a real Kafka, until Ctrl-C.

    Needs no Docker, no Java and no Clerk account: a stand-in for Clerk runs beside the service, with a console to sign
    users up, ban and delete them, and to see what happened to each of them, unless CLERK_* variables (environment or
    `.env`) name your Clerk instance.
    DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS are not read. The first start downloads Kafka (45 MB). In a second
    terminal, every other command finds this one.

    Parameters
    ----------
    data_dir
        Where users, events and keys are kept for the next start.
    port
        Port of the service, instead of PORT (3002).
    fresh
        Forget the users and events of earlier starts. Asks first, where there was one.
    open
        Open the console in your browser when everything is ready; beside a Clerk instance, the service's own page.
    reload
        Start the service and the relay anew whenever a Python file of theirs changes; everything else goes on.
    """
    if fresh and settings_of_last_dev(data_dir):
        confirm(f"Delete the users and events in {data_dir}?", yes=yes)
    logging.basicConfig(level=logging.CRITICAL)  # the processes log for themselves
    console = console_for_stdout()
    began = time.monotonic()
    try:
        with locked(data_dir, "auth-service dev") as lock:
            plan = _plan(data_dir, port, lock)
            with _frontend(plan):
                main = _dev(plan, console, fresh=fresh, show=open, reload=reload, began=began)
                status = run_until_signal(main, on_signal=lambda: console.print("\nStopping ..."))
    except (EmbeddedStackError, ProcessFailedError, ApplicationError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        status = None
    if status is None:
        console.print(f"Stopped. The data stays in {data_dir}.")


def _plan(data_dir: Path, port: int | None, lock: int) -> _Plan:
    (data_dir / ".gitignore").write_text("*\n")
    keys = keys_kept_in(data_dir)
    last = settings_of_last_dev(data_dir)
    clerk = _again(last.get("CLERK_API_URL")) or _free_from(CLERK_PORT)
    if str(clerk) == str(port or variables().get("PORT")):
        clerk = free_port()
    made_up = {
        **keys.environment,
        "CLERK_ISSUER": _clerk_url(clerk),  # where other services find the keys: the stand-in serves them
        "CLERK_SECRET_KEY": secret_key_kept_in(data_dir),
        "CLERK_API_URL": _clerk_url(clerk),
    }
    configured = variables()
    instance = instance_names(configured, made_up)
    environment = under(configured, {**made_up, "LOG_FORMAT": "console"})
    if port is not None:
        environment["PORT"] = str(port)
    settings = _settings(environment, instance)
    require_free(settings.http.port, "auth-service serve", "choose another port with --port or PORT")
    frontend = mint = None
    if not instance and FRONTEND_FOLDER.is_dir():
        frontend = free_port() if settings.http.port == FRONTEND_PORT else _free_from(FRONTEND_PORT)
        mint = _mint(keys.private_key, issuer=_clerk_url(clerk), origin=origins(frontend)[0])
        parties = ",".join([*settings.tokens.clerk_authorized_parties, *origins(frontend)])
        environment["CLERK_AUTHORIZED_PARTIES"] = made_up["CLERK_AUTHORIZED_PARTIES"] = parties
    if environment.get("CLERK_JWT_KEY") == made_up["CLERK_JWT_KEY"]:
        made_up["AUTH_SERVICE_ORGANIZATIONS"] = environment.setdefault("AUTH_SERVICE_ORGANIZATIONS", ORGANIZATION)
    return _Plan(
        data_dir=data_dir,
        lock=lock,
        http=settings.http,
        environment={
            name: value for name, value in {**os.environ, **environment}.items() if instance or not _is_proxy(name)
        },
        made_up={} if instance else made_up,
        frontend=frontend,
        mint=mint,
        clerk=None if instance else clerk,
    )


def _is_proxy(name: str) -> bool:
    """Tell whether it names a proxy: without a Clerk instance nothing leaves this machine, whatever they say."""
    return name.upper() in _PROXIES


def _settings(environment: Mapping[str, str], instance: Sequence[str]) -> DevSettings:
    try:
        if instance:
            load(ProxySettings, environment=environment, env_file=NO_FILE)
        return load(DevSettings, environment=environment, env_file=NO_FILE)
    except ConfigurationError as error:
        beside = (
            f"\nNothing of Clerk's is made up beside a Clerk instance, which {', '.join(instance)} "
            f"name{'s' if len(instance) == 1 else ''}: set the rest of it, or unset that to work without an account."
        )
        fail(f"{error}{beside if instance else ''}", EX_CONFIG)


def _mint(private_key: str, *, issuer: str, origin: str) -> Mint:
    def mint(user: str) -> str:
        return mint_session_token(
            private_key,
            user_id=parse_user_id(user),
            issuer=issuer,
            now_s=int(time.time()),
            lifetime_s=60,
            authorized_party=origin,
        )

    return mint


def _frontend(plan: _Plan) -> AbstractContextManager[None]:
    if plan.frontend is None:
        return nullcontext()
    return serve_frontend(port=plan.frontend, api=plan.http.base_url, mint=plan.mint)


async def _dev(  # noqa: PLR0913  # the options of the command
    plan: _Plan, console: Console, *, fresh: bool, show: bool, reload: bool, began: float
) -> int:
    last = settings_of_last_dev(plan.data_dir)
    async with embedded_stack(
        plan.data_dir,
        fresh=fresh,
        progress=lambda line: console.print(Text(line, style="dim")),
        postgres_port=_again(last.get("DATABASE_URL")),
        kafka_port=_again(last.get("KAFKA_BOOTSTRAP_SERVERS")),
    ) as stack:
        servers = {
            "DATABASE_URL": stack.postgres.dsn,
            "KAFKA_BOOTSTRAP_SERVERS": stack.kafka.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
            "KAFKA_USER_STATE_TOPIC": plan.environment.get("KAFKA_USER_STATE_TOPIC") or STATE.default_name,
        }
        # Set here, a variable is not looked for in what the last start has written; and a file that the shell names for
        # the real service would contradict the address of this one.
        others = {
            name: text for name, text in plan.environment.items() if not name.startswith(("KAFKA_SASL_", "KAFKA_SSL_"))
        }
        environment = {
            **others,
            **servers,
            "DATABASE_URL_FILE": "",
            "PORT": str(plan.http.port),
            "ROOT_LINKS": _root_links(plan),
        }
        await _prepare(environment)
        if fresh:
            (plan.data_dir / CLERK_FILE).unlink(missing_ok=True)
        async with (
            noticing(source_folders()) if reload else nullcontext(lambda: None) as changed,
            _processes(_commands(plan), environment, plan.lock, console) as processes,
        ):
            parts: list[Part] = [*processes, stack.postgres, stack.kafka]
            await until_ready(f"{plan.http.base_url}/health", parts, within_s=READY_S)
            if plan.clerk is not None:
                await until_ready(f"{_clerk_url(plan.clerk)}/.well-known/jwks.json", parts, within_s=READY_S)
            port = {"PORT": str(plan.http.port)}
            file = write_environment(plan.data_dir, {**servers, **port, **plan.made_up})
            _greet(plan, servers, file, console, seconds=time.monotonic() - began)
            page = plan.http.base_url if plan.clerk is None else _clerk_url(plan.clerk)
            if show and not await asyncio.to_thread(webbrowser.open, page):
                console.print(Text(f"No browser could be opened: open {page}", style="yellow"))
            if reload:
                start = partial(_start, environment=environment, lock=plan.lock, console=console)
                await reload_on_change(changed, processes, [stack.postgres, stack.kafka], start, console.print)
            while True:
                raise_if_ended(parts)
                await asyncio.sleep(_WATCH_S)


async def _prepare(environment: Mapping[str, str]) -> None:
    """Make the schema and the topics."""
    database = container_of(DatabaseContainer, load(MigrateSettings, environment=environment, env_file=NO_FILE))
    await database.migrate()("head")
    kafka = container_of(TopicsContainer, load(EventsSettings, environment=environment, env_file=NO_FILE))
    await kafka.create_topics()()


def _commands(plan: _Plan) -> list[list[str]]:
    commands = [["serve", "--workers=1"], ["relay"]]
    if plan.clerk is not None:
        party = [f"--azp={origins(plan.frontend)[0]}"] if plan.frontend else []
        commands.append(["clerk-stand-in", f"--port={plan.clerk}", f"--data-dir={plan.data_dir}", *party])
    return commands


def _root_links(plan: _Plan) -> str:
    """Return what the service's page at `/` leads to: what is configured, and what runs beside the service."""
    links = [f"{name}={address}" for name, address in plan.http.root_links]
    if plan.clerk is not None:
        links.append(f"console={_clerk_url(plan.clerk)}")
    if plan.frontend is not None:
        links.append(f"example frontend={origins(plan.frontend)[0]}")
    return ",".join(links)


def _clerk_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


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


def _again(address: str | None) -> int | None:
    """Return the port of an earlier start when it is still free, so that bookmarks in other tools go on working."""
    port_text = re.search(r":(\d+)(?:/|$)", address or "")
    if port_text is None:
        return None
    return _free_from(int(port_text[1]))


def _free_from(port: int) -> int:
    """Return this port, or another when it is taken."""
    try:
        require_free(port, "")
    except EmbeddedStackError:
        return free_port()
    return port


def _greet(plan: _Plan, servers: Mapping[str, str], file: Path, console: Console, *, seconds: float) -> None:
    name = program()
    elsewhere = plan.data_dir != DATA_DIR
    where = f" --data-dir {plan.data_dir}" if elsewhere else ""
    file_option = f" --env-file {file}" if elsewhere else ""
    address = plan.http.base_url
    console.print(Text(f"\nReady after {seconds:.1f} s", style="bold green"))
    page = [("Frontend", f"{origins(plan.frontend)[0]}   (examples/frontend)")] if plan.frontend else []
    if plan.clerk is not None:
        page.insert(
            0, ("Clerk", f"{_clerk_url(plan.clerk)}   (a stand-in, with a console: what happened to each user)")
        )
    for what, value in (
        ("Service", f"{address}   API: {address}/schema"),
        *page,
        ("PostgreSQL", servers["DATABASE_URL"]),
        ("Kafka", servers["KAFKA_BOOTSTRAP_SERVERS"]),
        ("Variables", f"{file}"),
    ):
        console.print(Text.assemble((f"  {what:<12}", "cyan"), value))
    commands = [
        (f"{name} trigger{where} user.created --user user_ada", "Clerk tells us of a sign-up"),
        (f"{name} trigger{where} user.updated --user user_ada --set first_name=Augusta", "and of a change"),
        (f"{name} events tail{file_option} --from-beginning", "what other services receive"),
    ]
    if "CLERK_JWT_KEY" in plan.made_up:
        token = f"$({name} token{where} --user user_ada)"
        commands.insert(1, (f'curl -i {address}/v1/me -H "Authorization: Bearer {token}"', "who am I?"))
    if plan.clerk is not None:
        users = f"{_clerk_url(plan.clerk)}/v1/users"
        key = f'-H "Authorization: Bearer {plan.environment["CLERK_SECRET_KEY"]}"'
        form = """-d '{"email_address": ["grace@example.org"]}'"""
        commands.append((f"curl {key} {users} {form}", "sign a user up at Clerk"))
        commands.append((f"curl {key} -X POST {users}/user_.../ban", "and ban"))
    console.print(Text("\nTry, in a second terminal:", style="bold"))
    for command, what in commands:
        console.print(Text.assemble(f"  {command}", (f"   # {what}", "dim")))
    console.print(f"\nCtrl-C stops everything; the data stays in {plan.data_dir}.\n")
