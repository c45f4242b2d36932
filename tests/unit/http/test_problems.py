import json

import pytest
from dependency_injector.providers import Object
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from sdktest.rows import each_row
from structlog.testing import capture_logs

from anomalyze_auth import KeysUnavailable, OriginRefused, Reason, TokenRejected
from application.errors import (
    ApplicationError,
    BrokerUnavailableError,
    ClerkLimitedError,
    ClerkRefusedError,
    UnavailableError,
    UnusableWebhookError,
)
from entrypoints.http.problems import INTERNAL, TABLE, problem_of, response_to
from support.refusals import every_problem
from support.web import created, signed


def leaves(kind):
    below = kind.__subclasses__()
    return {kind for child in below for kind in (child, *leaves(child))}


def answer(error):
    """What it is, and the headers and the body that say so."""
    response = response_to(error)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.raw_headers}
    return problem_of(error), headers, response.body


NEVER_ANSWERED = {BrokerUnavailableError, UnavailableError}
"""Of commands alone; the base of three others."""


def test_every_error_of_a_use_case_that_a_request_can_meet_has_a_row_of_its_own():
    expected = leaves(ApplicationError) | {TokenRejected, OriginRefused, KeysUnavailable}

    assert set(TABLE) == expected - NEVER_ANSWERED


def test_codes_are_unique_and_each_503_says_when_to_come_back():
    problems = every_problem()

    assert len({problem.code for problem in problems}) == len(problems)
    assert all("retry-after" in problem.headers for problem in problems if problem.status == 503)
    assert all("www-authenticate" in problem.headers for problem in problems if problem.status == 401)


def test_an_unknown_error_is_ours_and_its_text_is_not_shown():
    problem, headers, body = answer(RuntimeError("secret of the house"))

    assert problem is INTERNAL
    assert b"secret" not in body
    assert "secret" not in str(headers)


@each_row("status", range(400, 600))
def test_every_status_a_framework_can_raise_becomes_a_problem_of_the_same_class(status):
    problem = problem_of(HTTPException("internal detail", status_code=status))

    assert problem.status // 100 == status // 100


@pytest.mark.parametrize("error", [NotAuthorizedException("internal"), PermissionDeniedException("internal")])
def test_a_frameworks_own_words_are_not_shown(error):
    assert b"internal" not in answer(error)[2].replace(b"internal-error", b"")


def test_a_token_problem_carries_the_reason_in_body_and_challenge():
    _, headers, body = answer(TokenRejected(Reason.TOKEN_EXPIRED, "The token has expired."))

    assert json.loads(body)["reason"] == "token-expired"
    assert headers["www-authenticate"] == 'Bearer error="invalid_token", error_description="The token has expired."'


def test_an_unusable_webhook_names_the_field():
    _, _, body = answer(UnusableWebhookError("data.updated_at is missing"))

    assert json.loads(body)["detail"] == "data.updated_at is missing"


@pytest.mark.parametrize(("said_s", "told_s"), [(0, 1), (-5, 1), (7, 7), (10**9, 300)])
def test_clerks_limit_says_when_to_come_back_in_bounds(said_s, told_s):
    problem, headers, _ = answer(ClerkLimitedError("429", retry_after_s=said_s))

    assert (problem.code, headers["retry-after"]) == ("identity-provider-limited", str(told_s))


def test_clerks_refusal_is_told_with_its_codes():
    error = ClerkRefusedError("No such plan.", status=402, codes=("unsupported_subscription_plan_features",))
    document = json.loads(answer(error)[2])

    assert (document["code"], document["status"]) == ("identity-provider-refused", 422)
    assert (document["detail"], document["codes"]) == ("No such plan.", ["unsupported_subscription_plan_features"])


async def test_a_bug_is_500_without_internals_and_is_logged_without_the_errors_text(web):
    async def bug(_user_id, _decide):
        raise RuntimeError("ada@example.org is in here")

    class Broken:
        change = staticmethod(bug)

    web.container.user_store.override(Object(Broken()))
    with capture_logs() as logs:
        response = await web.deliver(created())

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "internal-error"
    assert "ada@example.org" not in response.text + str(logs)
    (failure,) = [line for line in logs if line["event"] == "unhandled_error"]
    assert failure["error"] == "RuntimeError"
    assert failure["request_id"] == response.headers["x-request-id"]


async def test_an_expected_failure_is_not_logged_as_an_error(web):
    with capture_logs() as logs:
        await web.deliver(created(), signed(b"something else"))

    assert [line["log_level"] for line in logs] == ["info"]
    assert logs[0]["outcome"] == "webhook-not-genuine"
