"""What `auth-service outbox` shows, as tables and as JSON."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from attrs import asdict
from rich.text import Text

from application.counting import counted
from application.relay.dead_letters import DeadLetter, OutboxStatus
from application.users.representation import rfc3339
from entrypoints.cli.output import Row, flush, print_table
from entrypoints.cli.terminal import printable

LANES_SHOWN = 16


def print_json(status: OutboxStatus, rate: float) -> None:
    document = {
        "waiting": status.waiting,
        "oldest_seconds": round(status.oldest_s, 3),
        "published_per_second": round(rate, 1),
        "dead": status.dead,
        "relays": [
            {"name": name, "alive": name in status.alive, "seen_seconds_ago": round(seen_s, 3)}
            for name, seen_s in status.relays.items()
        ],
        "lanes": [
            {
                "lane": lane.lane,
                "owner": lane.owner,
                "waiting": lane.waiting,
                "oldest_seconds": None if lane.oldest_s is None else round(lane.oldest_s, 3),
            }
            for lane in status.lanes
        ],
        "vacuum_blocker": asdict(status.vacuum_blocker) if status.vacuum_blocker else None,
    }
    print(json.dumps(document), flush=True)


def print_status(status: OutboxStatus, rate: float) -> None:
    alive = Text(str(len(status.alive)), "" if status.alive else "red")
    dead = Text(str(status.dead), "red" if status.dead else "")
    print_table(
        ("waiting", "oldest", "published", "dead letters", "relays alive"),
        [(str(status.waiting), _seconds(status.oldest_s), f"{rate:.0f}/s", dead, alive)],
    )
    print()
    print_table(("relay", "lanes", "waiting", "last seen"), list(_owners(status)))
    if deepest := sorted((lane for lane in status.lanes if lane.waiting), key=lambda lane: -lane.waiting):
        print()
        print_table(
            ("lane", "waiting", "oldest", "owner"),
            [
                (str(lane.lane), str(lane.waiting), _seconds(lane.oldest_s), lane.owner or "nobody")
                for lane in deepest[:LANES_SHOWN]
            ],
        )
        if len(deepest) > LANES_SHOWN:
            print(f"{counted(len(deepest) - LANES_SHOWN, 'lane')} more; --json has all of them.", file=sys.stderr)
    if blocker := status.vacuum_blocker:
        age = "" if blocker.age_s is None else f", for {_seconds(blocker.age_s)}"
        print(f"Vacuum is blocked by {blocker.kind} {printable(blocker.name)}{age}.", file=sys.stderr)
    flush()


def _owners(status: OutboxStatus) -> Iterator[Row]:
    held = Counter(lane.owner for lane in status.lanes)
    waiting: Counter[str | None] = Counter()
    for lane in status.lanes:
        waiting[lane.owner] += lane.waiting
    for name, seen_s in status.relays.items():
        shown = Text(name, "" if name in status.alive else "dim")
        yield shown, str(held[name]), str(waiting[name]), _seconds(seen_s)
    if held[None]:
        yield Text("nobody", "red"), str(held[None]), str(waiting[None]), ""


def print_letters(letters: Sequence[DeadLetter]) -> None:
    print_table(
        ("id", "user", "version", "type", "error", "attempts", "died", "note"),
        [
            (
                str(letter.id),
                letter.key,
                str(letter.version),
                letter.type,
                letter.error,
                str(letter.attempts),
                f"{letter.died_at:%Y-%m-%dT%H:%M:%S}Z",
                f"discarded: {letter.discard_reason}"
                if letter.discarded_at
                else "payload erased"
                if letter.erased
                else "",
            )
            for letter in letters
        ],
        prose={"note"},
    )


def as_json(letter: DeadLetter) -> str:
    def readable(value: datetime | UUID) -> str:
        return rfc3339(int(value.timestamp() * 1000)) if isinstance(value, datetime) else str(value)

    return json.dumps(asdict(letter), default=readable)


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
