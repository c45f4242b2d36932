"""`auth-service reconcile`."""

import asyncio
import time
import uuid

from dependency_injector.providers import Singleton

from adapters.postgres.reconcile_checkpoint import PostgresCheckpoints
from application.reconcile.run import Reconcile
from entrypoints.composition.serve import ServeContainer


class ReconcileContainer(ServeContainer):
    reconcile = Singleton(
        Reconcile,
        identities=ServeContainer.identities,
        users=ServeContainer.user_directory,
        sync_user=ServeContainer.sync_user,
        delete_user=ServeContainer.delete_user,
        checkpoints=Singleton(PostgresCheckpoints, ServeContainer.engine),
        now_ms=ServeContainer.now_ms,
        clock=time.monotonic,
        sleep=asyncio.sleep,
        new_run=lambda: uuid.uuid4().hex,
    )
