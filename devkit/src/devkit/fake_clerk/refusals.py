"""Clerk's error answers (Clerk docs, "Backend API errors")."""

import secrets
from http import HTTPStatus
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class RefusedError(Exception):
    """An answer that is not 2xx, in Clerk's shape."""

    status: int
    code: str
    message: str
    long_message: str
    param: str | None = None
    headers: dict[str, str] = field(factory=dict)

    def document(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "long_message": self.long_message, "code": self.code}
        if self.param:
            error["meta"] = {"param_name": self.param}
        return {"errors": [error], "clerk_trace_id": secrets.token_hex(16)}


def no_secret_key() -> RefusedError:
    return RefusedError(
        status=HTTPStatus.UNAUTHORIZED,
        code="authorization_header_format_invalid",
        message="Invalid Authorization header format",
        long_message='Invalid Authorization header format. Must be "Bearer <YOUR_API_KEY>"',
    )


def wrong_secret_key() -> RefusedError:
    text = "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct."
    return RefusedError(status=HTTPStatus.UNAUTHORIZED, code="clerk_key_invalid", message=text, long_message=text)


def not_found(what: str, resource_id: str) -> RefusedError:
    return RefusedError(
        status=HTTPStatus.NOT_FOUND,
        code="resource_not_found",
        message="not found",
        long_message=f"No {what} was found with id {resource_id}",
    )


def no_such_route() -> RefusedError:
    text = "Resource not found"
    return RefusedError(status=HTTPStatus.NOT_FOUND, code="resource_not_found", message=text, long_message=text)


def bad_body(why: str) -> RefusedError:
    return RefusedError(
        status=HTTPStatus.BAD_REQUEST, code="request_body_invalid", message="Request body invalid", long_message=why
    )


def bad_parameter(code: str, param: str, long_message: str, *, message: str = "is invalid") -> RefusedError:
    """Refuse one field of a form; `code` is one of Clerk's `form_…`."""
    return RefusedError(
        status=HTTPStatus.UNPROCESSABLE_ENTITY, code=code, message=message, long_message=long_message, param=param
    )


def unknown_parameter(param: str) -> RefusedError:
    return bad_parameter(
        "form_param_unknown", param, f"{param} is not a valid parameter for this request.", message="is unknown"
    )


def missing_parameter(param: str) -> RefusedError:
    return bad_parameter("form_param_missing", param, f"{param} must be included.", message="is missing")


def taken(param: str) -> RefusedError:
    text = f"That {param.replace('_', ' ')} is taken. Please try another."
    return bad_parameter("form_identifier_exists", param, text, message=text)


def forbidden(code: str, text: str) -> RefusedError:
    return RefusedError(status=HTTPStatus.FORBIDDEN, code=code, message=text, long_message=text)


def invalid_action(session_id: str, status: str) -> RefusedError:
    return RefusedError(
        status=HTTPStatus.BAD_REQUEST,
        code="invalid_action_for_session",
        message="Invalid action",
        long_message=f"This action cannot be performed on session {session_id}: it is {status}.",
    )


def too_many_requests(retry_after_s: int) -> RefusedError:
    return RefusedError(
        status=HTTPStatus.TOO_MANY_REQUESTS,
        code="too_many_requests",
        message="Too many requests",
        long_message="Too many requests, retry later",
        headers={"retry-after": str(retry_after_s)},
    )


def internal(status: int) -> RefusedError:
    return RefusedError(
        status=status,
        code="internal_clerk_error",
        message="Oops, an unexpected error occurred",
        long_message="There was an internal error on our servers. We've been notified and are working on fixing it.",
    )
