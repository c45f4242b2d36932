"""What is written down of each action on a user: who did what to whom, and what was refused."""

import pytest
from structlog.testing import capture_logs

from application.errors import ClerkUnavailableError
from support.user_actions import MANAGE, act
from support.users import USER
from support.web import bearer, created


def audited(logs):
    return [line for line in logs if line["event"] == "user_action"]


async def test_the_audit_line_says_which_service_did_what_to_whom(served):
    with capture_logs() as logs:
        response = await act(served, "ban")

    (line,) = audited(logs)
    assert line == {
        "event": "user_action",
        "log_level": "info",
        "request_id": response.headers["x-request-id"],
        "action": "ban",
        "user_id": USER,
        "outcome": "updated",
        "by_service": "billing",
    }


async def test_the_audit_line_says_which_person_in_which_session_did_it(served):
    await served.deliver(created("user_admin"))
    with capture_logs() as logs:
        await act(served, "set-metadata", headers=bearer("user_admin", **MANAGE))

    (line,) = audited(logs)
    assert {name: value for name, value in line.items() if name.startswith("by_")} == {
        "by_user": "user_admin",
        "by_session": "sess_1",
        "by_actor": None,
        "by_organization": "org_ours",
    }
    assert "plan" not in str(line)


@pytest.mark.parametrize(
    ("credentials", "outcome", "by"),
    [
        (lambda: {"authorization": ""}, "credentials-missing", {}),
        (lambda: {"authorization": "Bearer ask_wrong"}, "service-key-not-valid", {}),
        (lambda: {"authorization": "Bearer x.y.z"}, "token-not-valid", {}),
        (lambda: bearer("user_mallory"), "permission-missing", {"by_user": "user_mallory"}),
        (lambda: bearer("user_nobody", **MANAGE), "user-not-admitted", {"by_user": "user_nobody"}),
        (
            lambda: bearer("user_admin", **MANAGE, act={"sub": "user_support"}),
            "impersonation-refused",
            {"by_user": "user_admin", "by_actor": "user_support"},
        ),
    ],
)
async def test_what_was_refused_is_written_down_too(served, credentials, outcome, by):
    with capture_logs() as logs:
        await act(served, "delete", headers=credentials())

    (line,) = audited(logs)
    assert (line["log_level"], line["action"], line["outcome"]) == ("warning", "delete", outcome)
    assert by.items() <= line.items()
    assert served.identities.done == []


async def test_what_failed_is_written_down_too(served):
    served.identities.failure = ClerkUnavailableError("slow")
    with capture_logs() as logs:
        await act(served, "delete")
        await act(served, "ban", "user_nobody")
        await act(served, "ban", "not-a-user")

    assert [(line["outcome"], line["user_id"]) for line in audited(logs)] == [
        ("identity-provider-unavailable", USER),
        ("identity-provider-unavailable", "user_nobody"),
        ("request-not-valid", None),
    ]


async def test_a_bug_is_written_down_too(served):
    served.identities.failure = RuntimeError("ada@example.org")
    with capture_logs() as logs:
        response = await act(served, "ban")

    (line,) = audited(logs)
    assert (response.status_code, line["outcome"]) == (500, "internal-error")
    assert "ada@" not in str(logs)


async def test_reading_leaves_no_audit_line(served):
    with capture_logs() as logs:
        await served.client.get(f"/v1/users/{USER}")

    assert audited(logs) == []
