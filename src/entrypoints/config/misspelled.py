"""Variables that this service does not read, but whose names resemble one that it reads."""

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from attrs import frozen

_ALIKE = 0.8  # of two texts' characters, how many match: CLERK_WEBHOOK_SIGNING_SECRET (Clerk's SDKs) has 0.83
_SHORT = 4  # HOST and PORT resemble too many variables of other programs


@frozen
class Misspelled:
    """A variable that is set and never read."""

    name: str
    meant: str  # the nearest name that is

    def __str__(self) -> str:
        return f"{self.name} is set, and nothing reads it: is {self.meant} meant?"


def misspelled(names: Iterable[str], known: Collection[str]) -> Iterator[Misspelled]:
    """Find among names that are set those that resemble a known one without being one."""
    candidates = [name for name in known if len(name) > _SHORT]
    for name in sorted(set(names) - set(known)):
        # OpenTelemetry reads many more than we declare, other programs have proxies for other protocols, and the names
        # of OpenSSL's variables end as some of ours do.
        if name.startswith(("OTEL_", "SSL_CERT_")) or name.upper().endswith("_PROXY"):
            continue
        for meant in get_close_matches(name.upper(), candidates, n=1, cutoff=_ALIKE):
            yield Misspelled(name, meant)
