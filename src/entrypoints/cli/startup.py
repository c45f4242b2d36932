"""What commands share before they do their work: settings, and the container made of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from entrypoints.cli.exit_codes import EX_CONFIG
from entrypoints.cli.terminal import fail
from entrypoints.composition import Page, container_of
from entrypoints.composition.lifecycle import connected
from entrypoints.config.clerk_values import SECRET_KEY_EXAMPLE
from entrypoints.config.loading import load
from entrypoints.config.settings import ClerkApiSettings
from entrypoints.config.sources import ConfigProblem

T = TypeVar("T")


def container_for(page: type[Page], settings_class: type[Any]) -> Page:
    """Return the page's container, or raise ConfigurationError: it names each variable that is missing or wrong."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the command says what is wrong, once
    settings = load(settings_class)
    if hasattr(settings, "proxies"):
        settings.proxies.export()
    return container_of(page, settings)


def require_secret_key(api: ClerkApiSettings) -> None:
    """End the program when Clerk cannot be asked."""
    if api.clerk_secret_key is None:
        missing = ConfigProblem("CLERK_SECRET_KEY", "missing; Clerk is asked with it", SECRET_KEY_EXAMPLE)
        fail(str(missing), EX_CONFIG)


def run(
    container: Page,
    ask: Callable[[Page], Awaitable[T]],
    running: Callable[[Page], AbstractAsyncContextManager[None]] = connected,
) -> T:
    """Return the answer; `running` says what of the container runs until then."""

    async def answer() -> T:
        async with running(container):
            return await ask(container)

    return asyncio.run(answer())
