"""Which URLs may serve keys and tokens."""

from ipaddress import ip_address
from urllib.parse import urlsplit

_NOT_PROTECTED = (
    "it must begin with https://; plain http is for this machine (localhost, 127.0.0.1, [::1]) and for test hosts "
    "(*.test): elsewhere, whoever is on the way could read what is sent and change what is answered"
)


def protected_url(url: str) -> str:
    """This URL, if its answers cannot be changed in transit.

    That is https, or http that stays on this machine. Names under `.test` are accepted too: they do not exist in
    public DNS (RFC 6761 section 6.2), so they belong to a test network, for example the containers of one machine.

    Raises:
        ValueError: plain http to any other host, or not an http(s) URL; the message does not contain it.
    """
    if "@" in url or "\\" in url or not url.isprintable():
        raise ValueError("not an http(s) URL without a user")
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")  # as name resolution does, with an error that is no OSError
    except ValueError:
        raise ValueError("not an http(s) URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http(s) URL")
    if parts.scheme == "http" and not (_is_loopback(parts.hostname) or is_test_host(url)):
        raise ValueError(_NOT_PROTECTED)
    return url


def is_test_host(url: str) -> bool:
    """Whether this URL's host is under the top-level domain `.test`."""
    return _name(urlsplit(url).hostname or "").endswith(".test")


def _is_loopback(host: str) -> bool:
    name = _name(host)
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 section 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    return host.lower().removesuffix(".")
