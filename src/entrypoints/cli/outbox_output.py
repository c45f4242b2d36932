"""What `auth-service outbox` shows, as tables and as JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from attrs import asdict
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from application.outbox_status import DeadLetter, OutboxStatus
from application.profile import rfc3339

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


def picture(status: OutboxStatus, rate: float) -> RenderableType:
    summary = Table.grid(padding=(0, 3))
    summary.add_row("waiting", "oldest", "published", "dead letters", "relays alive", style="dim")
    summary.add_row(
        f"{status.waiting:,}",
        _seconds(status.oldest_s),
        f"{rate:,.0f}/s",
        Text(f"{status.dead:,}", "red" if status.dead else ""),
        Text(str(len(status.alive)), "" if status.alive else "red"),
    )
    parts: list[RenderableType] = [summary, _owners(status)]
    deepest = sorted((lane for lane in status.lanes if lane.waiting), key=lambda lane: -lane.waiting)
    if deepest:
        lanes = Table("lane", "waiting", "oldest", "owner", title=_lanes_title(len(deepest)), title_justify="left")
        for lane in deepest[:LANES_SHOWN]:
            lanes.add_row(str(lane.lane), f"{lane.waiting:,}", _seconds(lane.oldest_s), Text(lane.owner or "nobody"))
        parts.append(lanes)
    if blocker := status.vacuum_blocker:
        age = "" if blocker.age_s is None else f", for {_seconds(blocker.age_s)}"
        parts.append(Text(f"Vacuum is held back by {blocker.kind} {blocker.name}{age}.", "yellow"))
    return Group(*parts)


def _owners(status: OutboxStatus) -> Table:
    held = Counter(lane.owner for lane in status.lanes)
    waiting: Counter[str | None] = Counter()
    for lane in status.lanes:
        waiting[lane.owner] += lane.waiting
    table = Table("relay", "lanes", "waiting", "last seen")
    for name, seen_s in status.relays.items():
        table.add_row(
            Text(name, "" if name in status.alive else "dim"), str(held[name]), f"{waiting[name]:,}", _seconds(seen_s)
        )
    if held[None]:
        table.add_row(Text("nobody", "red"), str(held[None]), f"{waiting[None]:,}", "")
    return table


def _lanes_title(lanes: int) -> str:
    return f"the {LANES_SHOWN} deepest of {lanes} lanes that wait" if lanes > LANES_SHOWN else "lanes that wait"


def letters_table(letters: Sequence[DeadLetter]) -> Table:
    table = Table("id", "user", "version", "type", "error", "attempts", "died", "")
    for letter in letters:
        note = "payload erased" if letter.erased else ""
        if letter.discarded_at:
            note = f"discarded: {letter.discard_reason}"
        table.add_row(
            str(letter.id),
            Text(letter.key),
            str(letter.version),
            letter.type,
            Text(letter.error),
            str(letter.attempts),
            f"{letter.died_at:%Y-%m-%d %H:%M:%S}Z",
            Text(note),
        )
    return table


def as_json(letter: DeadLetter) -> str:
    def readable(_: Any, __: Any, value: Any) -> Any:
        if hasattr(value, "timestamp"):
            return rfc3339(int(value.timestamp() * 1000))
        return str(value) if hasattr(value, "hex") and not isinstance(value, float) else value

    return json.dumps(asdict(letter, value_serializer=readable))


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
