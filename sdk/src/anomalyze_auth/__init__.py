"""Trust a request: verify Clerk session tokens, and say who is calling.

The framework helpers and the Kafka side are modules of their own, imported only where they are used:
`anomalyze_auth.fastapi`, `anomalyze_auth.litestar`, `anomalyze_auth.events`, `anomalyze_auth.state`,
`anomalyze_auth.consumer`.
"""

from anomalyze_auth.access import OPTIONAL, PUBLIC, REQUIRED, Access, Requirement
from anomalyze_auth.credentials import cookie_suffix_of, token_from
from anomalyze_auth.errors import KeysUnavailable, Reason, TokenRejected
from anomalyze_auth.identity import Authenticated, Organization
from anomalyze_auth.jwks import JwksKeys, JwksState
from anomalyze_auth.keys import KeySource, PemKey
from anomalyze_auth.middleware import AuthMiddleware, identity_of, require
from anomalyze_auth.problems import Problem, Refused
from anomalyze_auth.verifier import SessionVerifier

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
    "KeysUnavailable",
    "Organization",
    "PemKey",
    "Problem",
    "Reason",
    "Refused",
    "Requirement",
    "SessionVerifier",
    "TokenRejected",
    "cookie_suffix_of",
    "identity_of",
    "require",
    "token_from",
]
