"""Origins of web pages, serialised as browsers do."""

import re

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#\\@]+)/?")
# Pages of these schemes have an opaque origin, sent as `null`, or there are no such pages.
_NO_ORIGIN = frozenset({"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "view-source", "ws", "wss"})


def serialized_origin(text: str) -> str:
    """This origin as a browser writes it into `Origin`, and Clerk into `azp`.

    Scheme and host in lower case, an international name in punycode, IP addresses in their short form, no
    default port, no trailing slash (WHATWG URL, "origin" and "host parsing"). Apps and browser extensions
    have schemes of their own (`chrome-extension://<id>`, `capacitor://localhost`): the URL standard does not
    define their origin, and browsers send scheme, host and port for them too.

    Raises:
        ValueError: it is not an origin, or does not identify one site (`null`, `file:`, a wildcard);
            the message does not contain it.
    """
    # Half of this package's import time; not needed without authorized parties.
    from ada_url import URL  # noqa: PLC0415

    text = text.strip()
    form = _FORM.fullmatch(text)
    if form is None or not text.isprintable():
        raise ValueError("not an origin (scheme://host and perhaps :port; no path, no user)")
    scheme = form[1].lower()
    if scheme in _NO_ORIGIN:
        raise ValueError("not an origin: pages of this scheme have none, or there are no such pages")
    try:
        url = URL(text)
        # The standard parses the hosts of special schemes only, so parse any host as that of an https URL.
        host = URL(f"https://{url.hostname}").hostname
    except ValueError:
        raise ValueError("not an origin: the host or the port is not valid") from None
    if "*" in host:
        raise ValueError("not an origin: a wildcard would stand for pages of others")
    return f"{scheme}://{host}:{url.port}" if url.port else f"{scheme}://{host}"
