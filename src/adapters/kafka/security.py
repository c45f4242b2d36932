"""How to reach the brokers: TLS and SASL, in FastStream's terms."""

import ssl
from pathlib import Path

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def security(
    protocol: str, mechanism: str | None, *, username: str | None, password: str | None, ca_file: Path | None
) -> BaseSecurity | None:
    """Return what the client needs for `KAFKA_SECURITY_PROTOCOL` and its companions; `None` for PLAINTEXT."""
    context = ssl.create_default_context(cafile=ca_file) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL_"):
        kind = _SASL[mechanism or "PLAIN"]
        return kind(username=username or "", password=password or "", ssl_context=context, use_ssl=context is not None)
    return BaseSecurity(ssl_context=context, use_ssl=True) if context else None
