"""How a handler gets its use case: Litestar injects by name what dependency-injector makes."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias, TypeVar

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

T = TypeVar("T")

Injected: TypeAlias = NamedDependency[SkipValidation[T]]
"""A parameter that the container fills; mypy has checked it, so that no request has to."""


def provided(provider: Callable[[], Any]) -> Provide:
    """Wrap a provider in a function: Litestar takes no provider object, and no `@inject` (it reads the signature)."""

    @cache  # the provider is asked once, and not by each request
    def provide() -> Any:
        return provider()

    return Provide(provide, sync_to_thread=False)
