"""What `auth-service dev` decides before it starts anything: ports, keys, and the variables of each part."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from devkit.fake_clerk.defaults import PORT as CLERK_PORT
from devkit.fake_clerk.session_tokens import mint_session_token
from devkit.local.environment import NO_FILE, settings_of_last_dev, variables
from devkit.local.frontend import FOLDER as FRONTEND_FOLDER
from devkit.local.frontend import PORT as FRONTEND_PORT
from devkit.local.frontend import Mint, origins
from devkit.local.keys import ORGANIZATION, keys_kept_in, secret_key_kept_in
from devkit.servers.errors import EmbeddedStackError
from devkit.servers.ports import free_port, require_free
from devkit.settings import DevSettings
from domain.user import parse_user_id
from entrypoints.cli.exit_codes import EX_CONFIG
from entrypoints.cli.terminal import fail
from entrypoints.config.loading import load
from entrypoints.config.made_up import instance_names, under
from entrypoints.config.settings import HttpSettings, ProxySettings
from entrypoints.config.settings.catalogue import variables_of
from entrypoints.config.sources import ConfigurationError

_PROXIES = {variable.name for variable in variables_of(ProxySettings)}


@frozen(kw_only=True)
class Plan:
    """The folder, ports and variables, which are decided before anything is started."""

    data_dir: Path
    lock: int
    http: HttpSettings
    environment: Mapping[str, str] = field(repr=False)
    made_up: Mapping[str, str] = field(repr=False)
    """Variables that commands in a second terminal cannot find elsewhere."""
    frontend: int | None
    """Port of the example page; `None` with a real Clerk instance, which has its own frontend."""
    mint: Mint | None = field(repr=False)
    clerk: int | None
    """Port of the Clerk stand-in; `None` if a real instance is configured."""

    @property
    def clerk_url(self) -> str | None:
        return None if self.clerk is None else _url(self.clerk)

    @property
    def commands(self) -> list[list[str]]:
        commands = [["serve", "--workers=1"], ["relay"]]
        if self.clerk is not None:
            party = [f"--azp={origins(self.frontend)[0]}"] if self.frontend else []
            commands.append(["clerk-stand-in", f"--port={self.clerk}", f"--data-dir={self.data_dir}", *party])
        return commands

    @property
    def root_links(self) -> str:
        """Links of the service's page at `/`: those that are configured, and those of `dev`."""
        links = [f"{name}={address}" for name, address in self.http.root_links]
        if self.clerk_url:
            links.append(f"console={self.clerk_url}")
        if self.frontend is not None:
            links.append(f"example frontend={origins(self.frontend)[0]}")
        return ",".join(links)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def plan_of(data_dir: Path, port: int | None, lock: int) -> Plan:
    """Return the plan; ends the program when the configuration cannot be used, or the port is taken."""
    (data_dir / ".gitignore").write_text("*\n")
    keys = keys_kept_in(data_dir)
    last = settings_of_last_dev(data_dir)
    clerk = port_again(last.get("CLERK_API_URL")) or _free_from(CLERK_PORT)
    if str(clerk) == str(port or variables().get("PORT")):
        clerk = free_port()
    made_up = {
        **keys.environment,
        "CLERK_ISSUER": _url(clerk),  # the stand-in serves the keys to other services
        "CLERK_SECRET_KEY": secret_key_kept_in(data_dir),
        "CLERK_API_URL": _url(clerk),
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
        mint = _mint(keys.private_key, issuer=_url(clerk), origin=origins(frontend)[0])
        parties = ",".join([*settings.tokens.clerk_authorized_parties, *origins(frontend)])
        environment["CLERK_AUTHORIZED_PARTIES"] = made_up["CLERK_AUTHORIZED_PARTIES"] = parties
    if environment.get("CLERK_JWT_KEY") == made_up["CLERK_JWT_KEY"]:
        made_up["AUTH_SERVICE_ORGANIZATIONS"] = environment.setdefault("AUTH_SERVICE_ORGANIZATIONS", ORGANIZATION)
    return Plan(
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
    """Return whether the variable names a proxy, which is ignored without a Clerk instance: all traffic is local."""
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


def port_again(address: str | None) -> int | None:
    """Return the port of an earlier start if it is free, so that bookmarks in other tools keep working."""
    port_text = re.search(r":(\d+)(?:/|$)", address or "")
    if port_text is None:
        return None
    return _free_from(int(port_text[1]))


def _free_from(port: int) -> int:
    """Return this port, or another if it is taken."""
    try:
        require_free(port, "")
    except EmbeddedStackError:
        return free_port()
    return port
