"""Verify Clerk session tokens and identify the caller of a request.

Framework integrations and the Kafka modules are imported separately, so that only their users load them:
`anomalyze_auth.fastapi`, `anomalyze_auth.litestar`, `anomalyze_auth.events`, `anomalyze_auth.sessions`,
`anomalyze_auth.state`, `anomalyze_auth.consumer`, `anomalyze_auth.revocations`.
"""

from anomalyze_auth.access import OPTIONAL, PUBLIC, REQUIRED, Access, Requirement
from anomalyze_auth.addresses import is_test_host, protected_url
from anomalyze_auth.credentials import bearer_token, cookie_suffix_of
from anomalyze_auth.errors import (
    KeysFault,
    KeysUnavailable,
    OriginRefused,
    Reason,
    RevocationsUnavailable,
    TokenRejected,
)
from anomalyze_auth.identity import Authenticated, Organization
from anomalyze_auth.jwks import JwksKeys, JwksState
from anomalyze_auth.keys import KeySource, PemKey
from anomalyze_auth.middleware import AuthMiddleware, identity_of, require
from anomalyze_auth.origins import serialized_origin
from anomalyze_auth.problems import Problem, Refused
from anomalyze_auth.request_verifier import RequestVerifier
from anomalyze_auth.verifier import RevocationCheck, SessionVerifier

__all__ = [
    "OPTIONAL",
    "PUBLIC",
    "REQUIRED",
    "Access",
    "AuthMiddleware",
    "Authenticated",
    "JwksKeys",
    "JwksState",
    "KeySource",
    "KeysFault",
    "KeysUnavailable",
    "Organization",
    "OriginRefused",
    "PemKey",
    "Problem",
    "Reason",
    "Refused",
    "RequestVerifier",
    "Requirement",
    "RevocationCheck",
    "RevocationsUnavailable",
    "SessionVerifier",
    "TokenRejected",
    "bearer_token",
    "cookie_suffix_of",
    "identity_of",
    "is_test_host",
    "protected_url",
    "require",
    "serialized_origin",
]
