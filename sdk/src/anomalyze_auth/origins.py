"""Origins of web pages, in the one spelling that browsers send."""

import re

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#\\@]+)/?")
# Documents of these schemes have an opaque origin, sent as `null`, or there are no documents of them.
_NO_ORIGIN = frozenset({"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "view-source", "ws", "wss"})


def serialized_origin(text: str) -> str:
    """This origin as a browser writes it into `Origin`, and Clerk into `azp`.

    Scheme and host in lower case, an international name in punycode, IP addresses in their short form, no
    default port, no slash at the end (WHATWG URL, "origin" and "host parsing"). Apps and browser extensions
    have schemes of their own (`chrome-extension://<id>`, `capacitor://localhost`): the URL standard leaves
    their origin open, and browsers send scheme, host and port for them too.

    Raises:
        ValueError: it is no origin, or one that no page or every page has (`null`, `file:`, a wildcard);
            the message does not repeat it.
    """
    # Half as slow to import as all of this package, and who reads no origins does not need it.
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
        # The standard parses hosts of special schemes alone; with https:// in front any host is one of those.
        host = URL(f"https://{url.hostname}").hostname
    except ValueError:
        raise ValueError("not an origin: the host or the port is not valid") from None
    if "*" in host:
        raise ValueError("not an origin: a wildcard would stand for pages of others")
    return f"{scheme}://{host}:{url.port}" if url.port else f"{scheme}://{host}"
