"""Proxies between this process and the internet, by the variables that curl and most programs read."""

# ruff: noqa: RUF009  # a field is declared by a call

import os
from collections.abc import Mapping

from attrs import frozen

from entrypoints.config import parsing
from entrypoints.config.secret import Secret
from entrypoints.config.settings.variable import variable

LOOPBACK = ("localhost", "127.0.0.1", "::1")  # never asked through a proxy: another machine's is not this one's


@frozen
class ProxySettings:
    # fmt: off
    https_proxy: Secret[str] | None = variable(parsing.secret(parsing.proxy_url),
        "HTTP proxy for outgoing https requests: Clerk's API and keys, traces. The lower-case name takes precedence.",
        example="http://user:password@proxy.example.com:3128", in_file=True)
    http_proxy: Secret[str] | None = variable(parsing.secret(parsing.proxy_url),
        "The same for outgoing http requests, such as traces to a collector on http://.",
        example="http://proxy.example.com:3128", in_file=True)
    all_proxy: Secret[str] | None = variable(parsing.secret(parsing.proxy_url),
        "For both, if neither of them is set.", example="http://proxy.example.com:3128", in_file=True)
    no_proxy: tuple[str, ...] = variable(parsing.comma_separated(parsing.direct_host),
        "Hosts and domains that are connected to directly, comma-separated. Loopback always is.",
        example=".svc,.cluster.local,10.0.0.0/8", default=())
    # fmt: on

    def export(self) -> None:
        """Put them into the environment, before the first client is made: they may come from `.env` or a file."""
        os.environ.update(self.environment)

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables by which every HTTP client of this process follows these settings; none without a proxy."""
        proxies = {"https": self.https_proxy, "http": self.http_proxy, "all": self.all_proxy}
        texts = {f"{name}_proxy": proxy.get_secret_value() for name, proxy in proxies.items() if proxy}
        if not texts:
            return {}
        texts["no_proxy"] = ",".join(dict.fromkeys([*filter(None, self.no_proxy), *LOOPBACK]))
        return {**texts, **{name.upper(): text for name, text in texts.items()}}
