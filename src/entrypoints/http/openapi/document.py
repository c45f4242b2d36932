"""The OpenAPI document: what the handlers declare, plus every problem they can answer with."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from attrs import frozen
from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.types import ControllerRouterHandler

from domain.user import USER_ID
from entrypoints.http.dependencies import provided
from entrypoints.http.floor import LARGEST, MIN_VERSION
from entrypoints.http.problems import BAD_REQUEST, HEAD_TOO_LARGE, INTERNAL, MEDIA_TYPE, QUERY_TOO_LONG, TABLE, Problem
from entrypoints.http.users.requests import EMAIL, EMAIL_CHARACTERS_AT_MOST, IDS_AT_MOST
from entrypoints.version import VERSION

SESSION_TOKEN: Sequence[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]

MANAGERS: Sequence[dict[str, list[str]]] = [{"bearer": []}, {"serviceKey": []}]
"""The session token of a person who has the permission, or another service's key."""


@frozen
class ProblemDocument:
    """RFC 9457 problem details; branch on `code` (or `type`), show `title` and `detail`."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    reason: str | None = None  # why a token is refused
    codes: list[str] | None = None  # Clerk's own codes, when it refuses
    checks: dict[str, str] | None = None  # the state of each dependency, when the service is not ready
    causes: dict[str, str] | None = None
    labels: dict[str, str] | None = None  # why, by the names of `checks`


def problems(*kinds: Problem | type[Exception], not_modified: bool = False) -> dict[int, ResponseSpec]:
    """Return the responses an operation documents for these, and for the problems that any request can meet."""
    titles: dict[int, list[str]] = defaultdict(list)
    own = [kind if isinstance(kind, Problem) else TABLE[kind] for kind in kinds]
    for problem in (*own, BAD_REQUEST, HEAD_TOO_LARGE, QUERY_TOO_LONG, INTERNAL):
        titles[problem.status].append(f"{problem.title} (`{problem.code}`)")
    specs = {
        status: ResponseSpec(
            ProblemDocument, generate_examples=False, description="; ".join(titles[status]), media_type=MEDIA_TYPE
        )
        for status in sorted(titles)
    }
    if not_modified:
        specs[304] = ResponseSpec(None, description="The content is the one that `If-None-Match` names.")
    return specs


def document(handlers: Sequence[ControllerRouterHandler], injected: Sequence[str]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these handlers; no settings and no database are needed."""
    config = OpenAPIConfig(
        title="auth-service",
        version=VERSION,
        summary="The users of the platform, and verification of session tokens.",
        license=License(name="Proprietary", identifier="LicenseRef-Proprietary"),
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
                "serviceKey": SecurityScheme(
                    type="http", scheme="bearer", bearer_format="ask_…", description="The key of another service."
                ),
                "cookie": SecurityScheme(type="apiKey", name="__session", security_scheme_in="cookie"),
            }
        ),
        render_plugins=[],
    )
    nothing = {name: provided(lambda: None) for name in injected}
    app = Litestar([*handlers], dependencies=nothing, openapi_config=config, logging_config=None)
    described = app.openapi_schema.to_schema()
    paths = described["paths"]
    for (path, method), what in _BEYOND_SIGNATURES.items():
        operation = paths[path][method]
        operation["parameters"] = [*operation.get("parameters", []), *what.get("parameters", [])]
        operation["responses"]["200"].setdefault("headers", {}).update(what.get("headers", {}))
        if body := what.get("requestBody"):
            operation["requestBody"] = body
    verify = paths["/v1/verify"]["get"]
    del verify["responses"]["200"]["content"]  # its body is empty
    paths["/v1/verify"] = _with_any_method(verify)
    paths["/v1/ext-authz/{path}"] = _with_any_method(_under_any_path(verify))
    for path, item in paths.items():
        tag = next(name for name, _, beginnings in _TAGS if path.startswith(beginnings))
        for operation in item.values():
            operation["tags"] = [tag]
            operation.setdefault("security", [])  # said of public operations too, as nothing is said for all of them
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "user_id":
                    parameter["schema"] = _USER_ID
    described["tags"] = [{"name": name, "description": says} for name, says, _ in _TAGS]
    return described


def _under_any_path(operation: dict[str, Any]) -> dict[str, Any]:
    path = {"name": "path", "in": "path", "required": True, **_TEXT}
    # The query is the original request's: `true` counts here too, and another value is meant for the upstream.
    query = [{**each, **_TEXT} for each in operation["parameters"] if each["name"] in ("active", "in_person")]
    return {
        **operation,
        "operationId": "V1ExtAuthzVerify",
        "summary": "Forward auth that keeps the original path (Envoy's path_prefix)",
        "parameters": [path, *query],
    }


def _with_any_method(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the operation under every method: a proxy asks with that of the original request."""
    others = ("put", "post", "delete", "options", "head", "patch", "trace")
    return {
        "get": operation,
        **{method: {**operation, "operationId": operation["operationId"] + method.title()} for method in others},
    }


def _json_body(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "description": description, "content": {"application/json": {"schema": schema}}}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, **_TEXT}


def _query(name: str, description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, **more, "schema": schema}


def _option(name: str, description: str) -> dict[str, Any]:
    return _query(name, f"`true`: {description}", {"type": "string", "enum": ["true"]})


_FLOOR_OF = (
    "the version that the caller has seen, as in an event's `ce_sequence`: nothing older is answered; 409 when nothing "
    "newer is stored."
)
_INTEGER = {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST}
_FLOOR = _query(MIN_VERSION, "Of the user, " + _FLOOR_OF, _INTEGER)

_TAGS = (
    ("Webhooks", "What Clerk sends.", ("/webhooks",)),
    ("Current user", "The user of a session token.", ("/v1/me",)),
    (
        "Managing users",
        "Look users up and change them, for other services and for people with the permission.",
        ("/v1/users",),
    ),
    ("Forward auth", "A proxy asks whether to let a request through.", ("/v1/verify", "/v1/ext-authz")),
    ("Operation", "Health and metrics of this process.", ("/health", "/metrics")),
)
"""How a reader's list of operations is divided: name, description, and what the paths begin with."""

_TEXT = {"schema": {"type": "string"}}
_USER_ID = {"type": "string", "pattern": f"^{USER_ID.pattern}$"}


# What Litestar cannot see, because the handlers read it from the raw request.
_BEYOND_SIGNATURES: dict[tuple[str, str], dict[str, Any]] = {
    ("/webhooks/clerk", "post"): {
        "parameters": [
            _header("svix-id", "The message's id, the same for every attempt to deliver it."),
            _header("svix-timestamp", "When this attempt was made, seconds since 1970."),
            _header("svix-signature", "`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`."),
        ],
        "requestBody": _json_body("A Clerk event, at most 1 MiB, exactly as it was signed.", {"type": "object"}),
    },
    ("/v1/me", "get"): {
        "parameters": [{"name": "If-None-Match", "in": "header", "required": False, **_TEXT}, _FLOOR],
        "headers": {"ETag": _TEXT, "Cache-Control": _TEXT, "Vary": _TEXT},
    },
    ("/v1/users/{user_id}", "get"): {"parameters": [_FLOOR]},
    ("/v1/users", "get"): {
        "parameters": [
            _query(
                "ids",
                "User ids, comma-separated or repeated. Exactly one of `ids` and `email`.",
                {"type": "array", "items": _USER_ID, "minItems": 1, "maxItems": IDS_AT_MOST},
                style="form",
                explode=False,
            ),
            _query(
                "email",
                "A primary email address, in any case. Answers at most 100 users.",
                {"type": "string", "pattern": f"^{EMAIL.pattern}$", "maxLength": EMAIL_CHARACTERS_AT_MOST},
            ),
            {**_FLOOR, "description": "Of each of the users in `ids`, beside which alone it may stand: " + _FLOOR_OF},
        ]
    },
    ("/v1/users/{user_id}/set-metadata", "post"): {
        "requestBody": _json_body(
            "At most 64 KiB.",
            {
                "type": "object",
                "required": ["public_metadata"],
                "properties": {"public_metadata": {"type": "object"}},
                "additionalProperties": False,
            },
        )
    },
    ("/v1/verify", "get"): {
        "parameters": [
            _option("active", "the user must also be known here, not deleted and not banned."),
            _option("in_person", "nobody else may act in the session (impersonation)."),
            _option(
                "cacheable",
                "a shared cache may store a 200 for `max-age`: until the token expires, at most a minute. Without it, "
                "and with `active`, the answer is `no-store`.",
            ),
            {**_FLOOR, "description": "With `active` alone. Of the user, " + _FLOOR_OF},
        ],
        "headers": {
            **dict.fromkeys(
                ("X-Auth-User-Id", "X-Auth-Session-Id", "X-Auth-Org-Id", "X-Auth-Org-Role", "X-Auth-Actor-Id"), _TEXT
            ),
            "Cache-Control": _TEXT,
            "Vary": _TEXT,
        },
    },
}
