"""How `auth-service users` runs its use cases, in this process: one user after the other."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, TypeVar

from application.errors import ApplicationError
from domain.user import InvalidUserIdError, UserId, parse_user_id
from entrypoints.cli import startup
from entrypoints.cli.exit_codes import EX_INTERRUPTED, EX_USAGE
from entrypoints.cli.terminal import fail
from entrypoints.cli.users.failures import NOT_TRIED, Failure, exit_status, failure_of
from entrypoints.cli.users.output import print_failure
from entrypoints.composition.lifecycle import acting
from entrypoints.composition.serve import ServeContainer
from entrypoints.config.settings import UsersSettings

T = TypeVar("T")


def user_ids(texts: Sequence[str]) -> list[UserId]:
    """Return the ids, each once; ends the program when there is none, or one that is none, and nothing is done."""
    if not texts:
        fail("Name at least one user (user_…).", EX_USAGE)
    ids = []
    for text in texts:
        try:
            ids.append(parse_user_id(text))
        except InvalidUserIdError as error:
            fail(f"{text!r} is {error}. Nothing was done.", EX_USAGE)
    return list(dict.fromkeys(ids))


def run(ask: Callable[[ServeContainer], Awaitable[T]]) -> T:
    """Return the answer; ends the program when there is none."""
    try:
        return startup.run(startup.container_for(ServeContainer, UsersSettings), ask, acting)
    except ApplicationError as error:
        failure = failure_of(error)
        fail(f"{failure.message[:1].upper()}{failure.message[1:]}", failure.status)
    except KeyboardInterrupt:
        fail("Interrupted; what was done is said above.", EX_INTERRUPTED)


def run_for_each(
    ids: Sequence[UserId],
    use_case_of: Callable[[ServeContainer], Callable[[UserId], Awaitable[T]]],
    show: Callable[[UserId, T], None],
    *,
    as_json: bool,
) -> NoReturn:
    """Do it for one user after the other, show each result, and end the program; an outage ends it at once."""
    failures: list[Failure] = []

    async def do(container: ServeContainer) -> None:
        use_case = use_case_of(container)
        for who in ids:
            if any(failure.for_all_users for failure in failures):
                failure = NOT_TRIED
            else:
                try:
                    result = await use_case(who)
                except ApplicationError as error:
                    failure = failure_of(error)
                else:
                    show(who, result)
                    continue
            failures.append(failure)
            print_failure(who, failure, as_json=as_json)

    run(do)
    sys.exit(exit_status(failures))


def or_say(show: Callable[[UserId, T], None]) -> Callable[[UserId, T], None]:
    """Show what came of an action; if the output fails, which ends the program, name on stderr what was done unseen."""

    def show_or_say(who: UserId, result: T) -> None:
        try:
            show(who, result)
        except OSError:
            says = f"{who}: done, but the result cannot be written; users named after it were not tried."
            print(says, file=sys.stderr, flush=True)
            raise

    return show_or_say
