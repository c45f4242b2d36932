"""TLS contexts that reload their files: a renewed certificate, key or authority is used by new connections."""

import logging
import socket
import ssl
from pathlib import Path
from typing import Any, Self

import attrs

from anomalyze_auth.kafka.certificates import CertificateProblem, check_pair
from anomalyze_auth.kafka.credentials import Credential

_LOG = logging.getLogger(__name__)
_ALERT_S = 1.0


@attrs.frozen(kw_only=True)
class TlsFiles:
    """The files of a TLS client; all of them may change at any time."""

    authorities: Path | None  # None: those that the system trusts
    certificate: Path | None
    key: Path | None
    key_password: Credential | None

    def read(self) -> tuple[bytes | str | None, ...]:
        """The current contents; OSError: a file cannot be read."""
        files = (self.authorities, self.certificate, self.key)
        contents = [None if file is None else file.read_bytes() for file in files]
        return (*contents, self.key_password.read() if self.key_password else None)

    def context(self) -> ssl.SSLContext:
        """A context with the current contents; CertificateProblem, OSError (`ssl.SSLError` too): none is usable."""
        context = ssl.create_default_context(cafile=self.authorities)
        if self.authorities:
            # Since Python 3.13 the default requires extensions (an authority key identifier, for example) that
            # private authorities often lack and no other Kafka client requires.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.certificate and self.key:
            password = self.key_password.read() if self.key_password else None
            check_pair(self.certificate.read_bytes(), self.key.read_bytes(), password)
            # Never None: OpenSSL would ask for a password on the terminal.
            context.load_cert_chain(self.certificate, self.key, password=password or "")
        return context


class RenewableContext(ssl.SSLContext):
    """A client context that reads its files again before each connection.

    If they are not usable, the previous ones stay in use, and one line is logged; at the start it raises as
    `TlsFiles.context`. asyncio and uvloop begin each connection with `wrap_bio`; they use nothing else of this object.
    """

    def __new__(cls, files: TlsFiles) -> Self:  # noqa: ARG004  (of __init__)
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = files.read()
        self._current = files.context()
        self._problem: str | None = None

    @property
    def presents_certificate(self) -> bool:
        return self._files.certificate is not None

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        self._renew()
        return self._current.wrap_bio(*arguments, **options)

    def alert_of(self, host: str, port: int) -> ssl.SSLError | None:
        """The TLS alert with which a server refuses our certificate, if it does. Blocks for up to a second.

        With TLS 1.3 the alert comes after the handshake, and is lost if the client has sent data by then. So this
        opens a connection, sends nothing and waits.
        """
        try:
            with (
                socket.create_connection((host, port), timeout=_ALERT_S) as connection,
                self._current.wrap_socket(connection, server_hostname=host) as secured,
            ):
                secured.recv(1)
        except ssl.SSLError as error:
            return error
        except OSError:
            pass
        return None

    def _renew(self) -> None:
        try:
            seen = self._files.read()
            if seen == self._seen:
                return
            self._current = self._files.context()
        except (CertificateProblem, OSError) as error:
            problem = str(error) if isinstance(error, CertificateProblem) else _reason(error)
            if problem != self._problem:
                self._problem = problem
                _LOG.warning("Kafka's certificate files are not usable (%s); the previous ones stay in use", problem)
            return
        self._seen, self._problem = seen, None
        _LOG.info("Kafka's certificate files have changed; new connections use the new ones")


def _reason(error: OSError) -> str:
    """OpenSSL's or the system's message, without a path."""
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__
