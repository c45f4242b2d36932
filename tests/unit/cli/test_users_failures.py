import pytest
from sdktest.rows import each_row

from application.errors import (
    BrokerUnavailableError,
    ClerkKeyRefusedError,
    ClerkLimitedError,
    ClerkNotConfiguredError,
    ClerkRefusedError,
    ClerkUnavailableError,
    SafetyStopError,
    StoreBusyError,
    StoreUnavailableError,
    UnstorableError,
    UnusableWebhookError,
    UserDeletedError,
    UserUnknownError,
)
from entrypoints.cli.users.failures import NOT_TRIED, exit_status, failure_of
from entrypoints.http.problems import USER_GONE, problem_of

NO_USER = failure_of(UserUnknownError())
OUTAGE = failure_of(ClerkUnavailableError("down"))


@each_row(
    ("error", "status", "for_all_users"),
    [
        (UserUnknownError(), 67, False),
        (UserDeletedError(), 67, False),
        (UnstorableError("22001"), 65, False),
        (ClerkRefusedError("no", status=402, codes=("plan",)), 77, False),
        (ClerkUnavailableError("down"), 69, True),
        (ClerkLimitedError("429", retry_after_s=1), 69, True),
        (StoreUnavailableError("down"), 69, True),
        (StoreBusyError("full"), 69, True),
        (BrokerUnavailableError("down"), 69, True),
        (ClerkKeyRefusedError("401"), 78, True),
        (ClerkNotConfiguredError("no key"), 78, True),
    ],
)
def test_every_kind_of_failure_has_its_status_and_those_for_all_users_end_the_run(error, status, for_all_users):
    failure = failure_of(error)

    assert (failure.status, failure.for_all_users) == (status, for_all_users)


def test_the_codes_are_those_of_the_http_api():
    errors = [UserUnknownError(), UnstorableError("no"), SafetyStopError("no"), ClerkNotConfiguredError("no")]
    errors += [kind("no") for kind in (ClerkKeyRefusedError, ClerkUnavailableError, StoreUnavailableError)]
    errors.append(ClerkRefusedError("no", status=402, codes=()))

    assert [failure_of(error).code for error in errors] == [problem_of(error).code for error in errors]
    assert failure_of(UserDeletedError()).code == USER_GONE.code  # of the user who is named, not of the caller


def test_what_is_not_expected_is_not_named():
    with pytest.raises(UnusableWebhookError):
        failure_of(UnusableWebhookError("data.id"))


def test_nobody_steers_a_terminal_by_what_clerk_says():
    assert "\x1b" not in failure_of(ClerkRefusedError("\x1b[2J", status=402, codes=("\x1b",))).message


@pytest.mark.parametrize(
    ("failures", "status"),
    [
        ([], 0),
        ([NO_USER], 67),
        ([NO_USER, failure_of(UserDeletedError())], 67),
        ([OUTAGE, NOT_TRIED, NOT_TRIED], 69),
        ([NO_USER, OUTAGE, NOT_TRIED], 1),
    ],
)
def test_one_kind_of_failure_is_its_own_status_and_several_are_1(failures, status):
    assert exit_status(failures) == status
