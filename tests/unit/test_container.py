import pytest
from dependency_injector.errors import Error

from adapters.clerk.backend_api import BackendApi, NoBackend
from anomalyze_auth import JwksKeys, PemKey
from entrypoints.composition import container_for
from entrypoints.config.loading import load
from entrypoints.config.settings import KafkaSettings, MigrateSettings, RelaySettings, ServeSettings
from support.clerk_stand_in import running_stand_in
from support.http_server import Answer, http_server
from support.web import NO_FILE, environment


def container(settings, **changes):
    return container_for(load(settings, environment=environment(**changes), env_file=NO_FILE))


async def test_every_provider_of_serve_and_relay_can_be_built():
    """Typing does not see a wrong argument of a provider."""
    everything = container(ServeSettings)
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_USER_STATE_TOPIC": "auth.user.state.v1"}
    relay = load(RelaySettings, environment=environment(**kafka), env_file=NO_FILE)
    everything.kafka.override(relay.kafka)

    assert isinstance(everything.kafka(), KafkaSettings)
    asked = {"wake_listener": [lambda: None], "relay_events_and_state": ["relay"]}
    for name, provider in everything.providers.items():
        made = provider(*asked.get(name, ()))

        assert made is not None, name


def test_a_command_that_lacks_a_group_cannot_build_what_needs_it():
    with pytest.raises(Error):
        container(MigrateSettings).webhook_reader()


def test_the_key_at_hand_goes_before_the_published_ones():
    assert isinstance(container(ServeSettings).session_keys(), PemKey)
    assert isinstance(container(ServeSettings, CLERK_JWT_KEY="").session_keys(), JwksKeys)


async def test_the_backend_apis_key_set_is_asked_with_the_secret_key_and_no_other_server_is_shown_it():
    with running_stand_in() as clerk, http_server(lambda _: Answer(503)) as other:
        for url, expected in ((f"{clerk.url}/v1/jwks", True), (f"{other.url}/v1/jwks", False)):
            named = {"CLERK_JWT_KEY": "", "CLERK_JWKS_URL": url, "CLERK_API_URL": clerk.url}
            keys = container(ServeSettings, **named, CLERK_SECRET_KEY=clerk.secret_key).session_keys()
            state = await keys.refresh()
            await keys.aclose()

            assert state.usable == expected
    assert len(other.requests) == 1
    assert "authorization" not in {name.lower() for name, _ in other.requests[0].headers}


def test_without_a_secret_key_clerk_is_not_asked():
    assert isinstance(container(ServeSettings).backend(), NoBackend)
    assert isinstance(container(ServeSettings, CLERK_SECRET_KEY="sk_test_abc").backend(), BackendApi)
