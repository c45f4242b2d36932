import os
import subprocess
import sys
from inspect import signature
from pkgutil import iter_modules

import pytest
from attrs import frozen
from dependency_injector.errors import Error
from dependency_injector.providers import Callable, is_provider
from sdktest.rows import each_row

from adapters.clerk.identities import INTERACTIVE
from anomalyze_auth import JwksKeys, PemKey
from application.errors import ClerkNotConfiguredError
from entrypoints import composition
from entrypoints.composition import container_of
from entrypoints.composition.database import DatabaseContainer
from entrypoints.composition.doctor import DoctorContainer
from entrypoints.composition.history import HistoryContainer
from entrypoints.composition.lifecycle import relaying
from entrypoints.composition.reconcile import ReconcileContainer
from entrypoints.composition.relay import RelayContainer
from entrypoints.composition.repair import RepairContainer
from entrypoints.composition.serve import ServeContainer
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.loading import load
from entrypoints.config.settings import KafkaSettings, MigrateSettings, RelaySettings, ServeSettings
from entrypoints.relay.timed import TimedOutbox
from support.clerk_stand_in import running_stand_in
from support.http_server import Answer, http_server
from support.web import NO_FILE, environment

KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_USER_STATE_TOPIC": "auth.user.state.v1"}
REPLICA = {"DATABASE_REPLICA_URL": "postgresql://auth@127.0.0.1:1/auth"}

PAGES = (
    ServeContainer,
    ReconcileContainer,
    RepairContainer,
    RelayContainer,
    HistoryContainer,
    DatabaseContainer,
    TopicsContainer,
    DoctorContainer,
)


@frozen(kw_only=True)
class AllSettings(ServeSettings):
    kafka: KafkaSettings


IMPORTED_BY_A_COMMAND = """
import importlib, os, sys
from entrypoints.cli.main import main
from support.fork_server import IMPORTS

for name in IMPORTS:  # other people's, which are the half of a start
    if not name.startswith("entrypoints."):
        importlib.import_module(name)
for line in sys.argv[1:]:
    if os.fork():
        assert os.wait()[1] == 0
        continue
    try:
        main(line.split())
    except SystemExit:
        pages = (name for name in sys.modules if name.startswith("entrypoints.composition."))
        print(line, *pages, sep="|", file=sys.stderr, flush=True)
        os._exit(0)
"""


def container(page, settings, **changes):
    return container_of(page, load(settings, environment=environment(**changes), env_file=NO_FILE))


def serve(**changes):
    return container(ServeContainer, ServeSettings, **changes)


def test_no_page_is_left_out():
    modules = {module.name for module in iter_modules(composition.__path__)}

    assert modules - {"lifecycle", "documents", "postgres"} == {page.__module__.rpartition(".")[2] for page in PAGES}


@each_row("page", PAGES, ids=lambda page: page.__name__)
async def test_every_provider_of_a_page_can_be_built(page):
    """Typing does not see a wrong argument of a provider."""
    made_of = container(page, AllSettings, **KAFKA, **REPLICA)
    asked = {"notification_listener": [lambda: None], "relay_events_and_state": ["relay"]}
    nothing = {"kafka_security"}  # without TLS and SASL

    assert made_of.providers
    for name, provider in made_of.providers.items():
        if type(provider) is Callable:  # which would ask a server
            made = signature(provider.provides).bind_partial(
                *map(made_from, provider.args), **{key: made_from(part) for key, part in provider.kwargs.items()}
            )
        else:
            made = provider(*asked.get(name, ()))

        assert (made is not None) == (name not in nothing), name


def made_from(part):
    return part() if is_provider(part) else part


async def test_what_is_wrapped_for_traces_and_measures_still_closes():
    relay = container(RelayContainer, RelaySettings, **KAFKA)

    async with relaying(relay, relay.notification_listener(lambda: None)):
        assert isinstance(relay.outbox(), TimedOutbox)


PAGES_OF_COMMANDS = {
    "--help": set(),
    "serve --help": set(),
    "users --help": {"serve"},
    "migrate --help": {"database"},
    "events --help": {"topics"},
    "topic check --help": {"topics"},
    "doctor --help": {"doctor", "topics"},
}


def test_a_command_imports_its_own_page_and_no_other():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_BY_A_COMMAND, *PAGES_OF_COMMANDS],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    imported = {}
    for line in done.stderr.splitlines():
        command, *modules = line.split("|")
        pages = {name.removeprefix("entrypoints.composition.") for name in modules}
        imported[command] = pages - {"lifecycle", "postgres"}
    assert imported == PAGES_OF_COMMANDS


def test_a_command_that_lacks_a_group_cannot_build_what_needs_it():
    with pytest.raises(Error):
        container(DoctorContainer, MigrateSettings).examine_topics()


def test_the_key_at_hand_goes_before_the_published_ones():
    assert isinstance(serve().session_keys(), PemKey)
    assert isinstance(serve(CLERK_JWT_KEY="").session_keys(), JwksKeys)


async def test_the_backend_apis_key_set_is_asked_with_the_secret_key_and_no_other_server_is_shown_it():
    with running_stand_in() as clerk, http_server(lambda _: Answer(503)) as other:
        for url, expected in ((f"{clerk.url}/v1/jwks", True), (f"{other.url}/v1/jwks", False)):
            named = {"CLERK_JWT_KEY": "", "CLERK_JWKS_URL": url, "CLERK_API_URL": clerk.url}
            keys = serve(**named, CLERK_SECRET_KEY=clerk.secret_key).session_keys()
            state = await keys.refresh()
            await keys.aclose()

            assert state.usable == expected
    assert len(other.requests) == 1
    assert "authorization" not in {name.lower() for name, _ in other.requests[0].headers}


async def test_without_a_secret_key_clerk_is_not_asked():
    with pytest.raises(ClerkNotConfiguredError):
        await serve().backend().ask(lambda clerk: clerk.users.count_async(request={}), INTERACTIVE)
