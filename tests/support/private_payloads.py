"""Clerk payloads full of what must never be kept, for hypothesis."""

from typing import Any

from hypothesis import strategies as st

from support.clerk_payloads import user_payload

CANARY = "canary-Zx9"

_PRIVATE_FIELDS = (
    "private_metadata",
    "unsafe_metadata",
    "last_sign_in_ip",
    "external_accounts",
    "web3_wallets",
    "password_digest",
    "unheard_of",
)


def _around(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.just(CANARY) | st.text(max_size=3)
    return st.lists(children, min_size=1, max_size=3) | st.dictionaries(names, children, min_size=1, max_size=3)


_canaries = st.recursive(st.just(CANARY), _around, max_leaves=6)


def private_payloads(user_id: str) -> st.SearchStrategy[dict[str, Any]]:
    """Users that differ in kept fields and in time, each with the canary in fields that are not kept."""
    return st.builds(
        lambda private, at, first_name: user_payload(user_id, updated_at=at, first_name=first_name, **private),
        st.dictionaries(st.sampled_from(_PRIVATE_FIELDS), _canaries, min_size=1),
        st.integers(1_790_000_000_000, 1_790_000_000_003),
        st.sampled_from(["Ada", "Grace", None]),
    )
