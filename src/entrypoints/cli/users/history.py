"""`auth-service users history` and `users erased`: what happened to one user, and what is left of one."""

import json as json_
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from application.errors import ApplicationError
from domain.user import UserId
from entrypoints.cli.exit_codes import EX_NOT_DONE
from entrypoints.cli.startup import container_for, run
from entrypoints.cli.users import history_output as output
from entrypoints.cli.users.failures import failure_of
from entrypoints.cli.users.output import print_failure
from entrypoints.cli.users.running import user_ids
from entrypoints.config.settings import HistorySettings

if TYPE_CHECKING:
    from entrypoints.composition.history import HistoryContainer

T = TypeVar("T")

Who = Annotated[str, Parameter(help="Who (`user_…`).")]
AsJson = Annotated[bool, Parameter(help="One object, for other programs.", negative="")]


def history(user: Who, /, *, all_partitions: bool = False, json: AsJson = False) -> None:
    """Show a user's versions: what changed, when, and where each event is (topic, outbox or dead letters).

    Needs DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS, does not ask Clerk and changes nothing. Reads the partition of
    KAFKA_USER_EVENTS_TOPIC that holds the user's events, from its oldest record to the end that it has now. Versions
    that the topic's retention has removed are named as missing. Of a deleted user no value is shown.

    Args:
        all_partitions: Read every partition: versions from before partitions were added are in another one.
    """
    [who] = user_ids([user])
    found = _answer(who, lambda container: container.read_history()(who, all_partitions=all_partitions), as_json=json)
    if json:
        print(json_.dumps(output.history_document(found)))
    else:
        output.print_history(found)


def erased(user: Who, /, *, json: AsJson = False) -> None:
    """Show for each place what personal data of a user is left, and by when it is removed at the latest.

    Places: the row, the outbox, dead letters, ended sessions, and all partitions of the topics. Needs DATABASE_URL and
    KAFKA_BOOTSTRAP_SERVERS, and changes nothing. Ends with 0 when nothing is left, or all of it is removed by a date in
    the future; with 1 when something is left without such a date: a living user's row, a dead letter, a topic
    without retention, a record after its date, or a date that the brokers do not report. An unknown user is no error.
    """
    [who] = user_ids([user])
    now_ms = time.time_ns() // 1_000_000
    found = _answer(who, lambda container: container.check_erasure()(who), as_json=json)
    if json:
        print(json_.dumps(output.erasure_document(found, now_ms)))
    else:
        output.print_erasure(found, now_ms)
    sys.exit(EX_NOT_DONE if any(place.is_due(now_ms) for place in found.places) else 0)


def _answer(who: UserId, ask: "Callable[[HistoryContainer], Awaitable[T]]", *, as_json: bool) -> T:
    """Return the answer; ends the program when there is none, as `users get` does."""
    from entrypoints.composition.history import HistoryContainer  # noqa: PLC0415  # not for the other `users` commands

    try:
        return run(container_for(HistoryContainer, HistorySettings), ask)
    except ApplicationError as error:
        failure = failure_of(error)
        print_failure(who, failure, as_json=as_json)
        sys.exit(failure.status)
