"""`auth-service doctor`: what looks at everything that is configured; it may lack either group of settings."""

import asyncio

from dependency_injector.providers import Callable, Dependency

from adapters.clerk.doctor import key_set_of, thumbprint_of
from adapters.postgres.doctor import examine_database, try_writing
from adapters.postgres.replica import examine_replicas
from application.doctor.clerk import ClerkFacts
from entrypoints.composition.postgres import PostgresContainer
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config import settings
from entrypoints.config.secret import revealed


async def examine_clerk(tokens: settings.TokenSettings | None, api: settings.ClerkApiSettings | None) -> ClerkFacts:
    """Ask about as much as is configured (None: it cannot be used); a failure is part of the result, and not raised."""
    secret_key = revealed(api.clerk_secret_key) if api else None
    public_key = tokens.clerk_jwt_key if tokens else None
    # A proxied issuer may serve no keys; with a PEM they are not fetched.
    asks = tokens and (tokens.clerk_publishable_key or tokens.clerk_jwks_url or not public_key)
    of_secret_key, published = await asyncio.gather(
        key_set_of(api.keys_url if api and secret_key else None, secret_key=secret_key),
        key_set_of(
            tokens.jwks_url if tokens and asks else None,
            secret_key=settings.secret_key_for_keys(tokens, api) if tokens else None,
        ),
    )
    return ClerkFacts(
        pem_thumbprint=thumbprint_of(public_key.source) if public_key else None,
        of_secret_key=of_secret_key,
        published=published,
    )


class DoctorContainer(PostgresContainer, TopicsContainer):
    replica: Dependency[settings.ReplicaSettings] = Dependency(
        instance_of=settings.ReplicaSettings, default=settings.ReplicaSettings()
    )

    examine_database = Callable(examine_database, PostgresContainer.engine)
    try_writing = Callable(try_writing, PostgresContainer.engine)
    examine_replicas = Callable(
        examine_replicas, Callable(revealed, replica.provided.database_replica_url), PostgresContainer.engine
    )
    examine_clerk = Callable(examine_clerk)
