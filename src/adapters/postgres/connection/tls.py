"""TLS to PostgreSQL, as libpq's `ssl…` parameters ask for it (PostgreSQL documentation, "SSL Support")."""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import field, frozen

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SYSTEM = "system"  # instead of a file: the authorities that the operating system trusts

_VERSIONS = {"TLSv1": "TLSv1", "TLSv1.1": "TLSv1_1", "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}


class _NamedContext(ssl.SSLContext):
    """The driver verifies the address that it connects to; what the certificate names is the host."""

    server_name: str | None

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **options | {"server_hostname": self.server_name})


@frozen(kw_only=True)
class Tls:
    """How a connection is encrypted, and how the server is verified; files are read for each connection."""

    mode: str
    direct: bool  # TLS starts with the first byte, without a request in PostgreSQL's protocol
    root: str | None  # file of certificate authorities, or `SYSTEM`; None: the server is not verified
    certificate: str | None
    key: str | None
    key_password: str | None = field(repr=False)
    revoked: str | None
    revoked_folder: str | None
    oldest: str
    newest: str | None

    def attempts(self) -> tuple[bool, ...]:
        """Whether to encrypt: first, and after a failure."""
        return {"disable": (False,), "allow": (False, True), "prefer": (True, False)}.get(self.mode, (True,))

    def context(self, server_name: str | None = None) -> ssl.SSLContext:
        """Read the files, to verify this name whatever address is connected to; ValueError names the parameter."""
        context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = server_name
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.root and self.mode not in ("allow", "prefer"):
            with _named("sslrootcert", "certificates in PEM"):
                if self.root == SYSTEM:
                    context.load_default_certs()
                else:
                    context.load_verify_locations(self.root)
            context.verify_mode = ssl.CERT_REQUIRED
            context.check_hostname = self.mode == "verify-full"
            if self.revoked or self.revoked_folder:
                with _named("sslcrl, sslcrldir", "revocation lists in PEM"):
                    context.load_verify_locations(self.revoked, self.revoked_folder)
                context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        if self.certificate:
            with _named("sslcert, sslkey", "a certificate and its key in PEM, or sslpassword is not the key's"):
                context.load_cert_chain(self.certificate, self.key, lambda: self.key_password or "")
        context.minimum_version = ssl.TLSVersion[_VERSIONS[self.oldest]]
        if self.newest:
            context.maximum_version = ssl.TLSVersion[_VERSIONS[self.newest]]
        context.set_alpn_protocols(["postgresql"])
        return context


def read_tls(parameters: Mapping[str, str], *, over_network: bool) -> Tls:
    """Read the parameters of TLS; a Unix socket has none. A ValueError names the parameter."""
    root = parameters.get("sslrootcert") or _in_home("root.crt")
    mode = parameters.get("sslmode") or ("verify-full" if root == SYSTEM else "prefer")
    if mode not in MODES:
        raise ValueError(f"sslmode is not one of {', '.join(MODES)}")
    direct = parameters.get("sslnegotiation", "postgres")
    if direct not in ("postgres", "direct"):
        raise ValueError("sslnegotiation is not one of postgres, direct")
    if direct == "direct" and mode in MODES[:3]:
        raise ValueError("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full")
    if root == SYSTEM and mode != "verify-full":
        raise ValueError("sslrootcert=system needs sslmode=verify-full: anybody can have such a certificate")
    if mode.startswith("verify") and not root:
        raise ValueError(
            f"sslmode={mode} needs the certificate authority: sslrootcert=/path/to/ca.pem, or sslrootcert=system"
        )
    with_certificate = parameters.get("sslcertmode") != "disable"
    tls = Tls(
        mode=mode if over_network else "disable",
        direct=direct == "direct",
        root=root,
        certificate=(parameters.get("sslcert") or _in_home("postgresql.crt")) if with_certificate else None,
        key=parameters.get("sslkey") or _in_home("postgresql.key"),
        key_password=parameters.get("sslpassword"),
        revoked=parameters.get("sslcrl") or _in_home("root.crl"),
        revoked_folder=parameters.get("sslcrldir"),
        oldest=_version(parameters, "ssl_min_protocol_version") or "TLSv1.2",
        newest=_version(parameters, "ssl_max_protocol_version"),
    )
    if "sslkey" in parameters and not tls.certificate:
        raise ValueError("sslkey is of no use without sslcert")
    if over_network and mode != "disable":
        tls.context()
    return tls


def _version(parameters: Mapping[str, str], name: str) -> str | None:
    version = parameters.get(name)
    if version is not None and version not in _VERSIONS:
        raise ValueError(f"{name} is not one of {', '.join(_VERSIONS)}")
    return version


def _in_home(name: str) -> str | None:
    """Return libpq's default file if there is one; an unreadable home counts as none."""
    home = os.environ.get("HOME")
    path = Path(home or "/", ".postgresql", name)
    return str(path) if home and may_read(path) else None


def may_read(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


@contextmanager
def _named(parameter: str, expected: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{parameter}: there is no such file") from None
    except PermissionError:
        raise ValueError(f"{parameter}: this process may not read the file") from None
    except (OSError, ValueError):  # ssl.SSLError is an OSError; a password too long for OpenSSL, a ValueError
        raise ValueError(f"{parameter}: the file does not hold {expected}") from None
