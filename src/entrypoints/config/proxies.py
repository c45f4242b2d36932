"""How what goes out leaves this process: every HTTP client reads the same variables."""

import os

from entrypoints.config.settings import ProxySettings


def use(settings: ProxySettings) -> None:
    """Put the proxies into the environment, before the first client is made: they may come from `.env` or a file."""
    os.environ.update(settings.environment)
