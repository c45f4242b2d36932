"""The active organization in session claims, version 1 (`org_*`) and version 2 (`o`, packed)."""

from collections.abc import Mapping
from typing import Any

from anomalyze_auth._fields import identifier, invalid, text, texts
from anomalyze_auth.identity import Organization

_LONG_CLAIMS = ("org_id", "org_slug", "org_role", "org_permissions")
_LONGEST_MASK = 20


def organization_in(claims: Mapping[str, Any]) -> Organization | None:
    """The organization that these claims name, or None (Clerk, "Session tokens": versions of the default claims)."""
    version = claims.get("v", 1)
    if type(version) is not int:
        raise invalid("v")
    return _packed(claims) if version > 1 else _long(claims)


def _long(claims: Mapping[str, Any]) -> Organization | None:
    # Older tokens have null for an absent organization.
    stated = {name: claims[name] for name in _LONG_CLAIMS if claims.get(name) is not None}
    organization_id = identifier(stated, "org_id")
    if organization_id is None:
        return None
    return Organization(
        id=organization_id,
        slug=text(stated, "org_slug"),
        role=identifier(stated, "org_role"),
        permissions=frozenset(texts(stated, "org_permissions") or ()),
    )


def _packed(claims: Mapping[str, Any]) -> Organization | None:
    packed = claims.get("o")
    if packed is None:
        return None
    organization_id = identifier(packed, "id") if isinstance(packed, dict) else None
    if organization_id is None:
        raise invalid("o")
    role = identifier(packed, "rol")
    if role is not None and not role.startswith("org:"):
        role = f"org:{role}"
    return Organization(
        id=organization_id,
        slug=text(packed, "slg"),
        role=role,
        permissions=_unpacked(_list(claims, "fea"), _list(packed, "per"), _list(packed, "fpm")),
    )


def _list(claims: Mapping[str, Any], name: str) -> list[str]:
    joined = text(claims, name)
    return joined.split(",") if joined else []


def _unpacked(features: list[str], permissions: list[str], masks: list[str]) -> frozenset[str]:
    """Bit j of mask i grants `org:<feature i>:<permission j>`.

    Clerk's documentation and its Go and Python SDKs count i over all features, its JavaScript SDK over
    those of the organization only. The number of masks shows which applies; if it matches neither, no permission
    is granted.
    """
    of_organization = [feature for feature in features if _of_organization(feature)]
    for counted in (features, of_organization):
        if len(counted) == len(masks):
            return frozenset(
                f"org:{feature.partition(':')[2]}:{permission}"
                for feature, mask in zip(counted, masks, strict=True)
                if _of_organization(feature)
                for bit, permission in enumerate(permissions)
                if _bits(mask) >> bit & 1
            )
    return frozenset()


def _of_organization(feature: str) -> bool:
    """Whether a feature such as `o:dashboard`, `u:beta` or `ou:both` has the organization's scope."""
    scope, colon, _ = feature.partition(":")
    return bool(colon) and "o" in scope


def _bits(mask: str) -> int:
    return int(mask) if mask.isascii() and mask.isdecimal() and len(mask) <= _LONGEST_MASK else 0
