"""The outages that a relay has told of, each from its first cause to its end."""

from support.processes import Process


def outages(relay: Process) -> tuple[list[list[str]], list[str]]:
    """Return the reasons of each outage that has ended, in their order, and those of the one that goes on.

    One outage may be told of by several causes, each when it is found. Its end names the last one, perhaps with another
    detail than it was told with.
    """
    ended: list[list[str]] = []
    told: list[str] = []
    for line in relay.events():
        if line["event"] == "events_waiting":
            told.append(line["cause"])
        elif line["event"] == "outage_over":
            assert told, relay.text()
            assert _cause(line["cause"]) == _cause(told[-1]), relay.text()
            ended.append(told)
            told = []
    return ended, told


def _cause(reason: str) -> str:
    """`Kafka: out of reach` of `Kafka: out of reach (127.0.0.1:9092: connection refused)`."""
    return reason.partition(" (")[0]
