"""What a reconcile shows while it runs, and when it has ended."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import structlog
from attrs import frozen
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from application.counting import counted
from application.reconcile.drift import Difference, Drift
from application.reconcile.options import ReconcileOptions, ReconcileProgress
from application.users.representation import rfc3339
from domain.user import UserId
from entrypoints.cli.confirmation import agreed
from entrypoints.cli.exit_codes import EX_DATAERR, EX_NOT_DONE, EX_TEMPFAIL, EX_UNAVAILABLE
from entrypoints.cli.output import print_table
from entrypoints.cli.terminal import console_for_progress

NAMED = 20  # users whom the question before a deletion names; `--dry-run --report` names all
LOG_EVERY_S = 10.0  # between two lines about progress, where there is no terminal to draw a bar on

log = structlog.get_logger("reconcile")


@frozen
class Result:
    """How a run ended."""

    name: str  # in the summary
    status: int  # of the program
    says: str  # the last line


EQUAL = Result("equal", 0, "Equal: nothing differs.")
REPAIRED = Result("repaired", 0, "Repaired: nothing differs any more.")
DIFFERENT = Result("different", EX_NOT_DONE, "Differences are left.")
STOPPED = Result("stopped", EX_TEMPFAIL, "Stopped before the end ({reason}). Run it again: {again}.")
SAFETY_STOP = Result(
    "safety-stop",
    EX_DATAERR,
    "Safety stop, nobody was deleted: {reason}.\n"
    "Is CLERK_SECRET_KEY of the instance that these users are from? If it is meant, say so with --allow-deletes.",
)
REFUSED = Result("refused", EX_UNAVAILABLE, "Clerk refuses: {reason}.")

_MEANS = {
    Drift.MISSING: "at Clerk, not here",
    Drift.STALE: "older here than at Clerk",
    Drift.GONE: "here, no longer at Clerk",
    Drift.DELETED_HERE: "at Clerk, deleted here; stays deleted",
    Drift.NEWER_HERE: "claims to be newer here than at Clerk; stays",
    Drift.UNREADABLE: "Clerk's answer is not what Clerk documents; ours stays",
    Drift.UNSTORABLE: "PostgreSQL refuses it",
}


class Output:
    """`application.reconcile.options.Observer` for people, logs and other programs."""

    def __init__(self, options: ReconcileOptions, *, yes: bool, report: Path | None, as_json: bool) -> None:
        self.progress = ReconcileProgress()
        self._yes = yes
        self._options = options
        self._as_json = as_json
        self._path = report
        self._report: IO[str] | None = None
        self._reported = False
        self._began = self._reading_since = self._logged = time.monotonic()
        self._listed_before = 0
        console = console_for_progress()
        self._bar = Progress(
            TextColumn("users"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[says]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, rate="", says="")

    def __enter__(self) -> Self:
        if self._path:
            # Whether this run goes on where another was interrupted, and adds to what that one wrote, is known later.
            self._report = self._path.open("a", encoding="utf-8")
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._report:
            self._report.close()

    def signalled(self) -> None:
        """Show that the run is about to end; what is under way is finished first."""
        self._bar.update(self._task, says="stopping …")

    def began(self, progress: ReconcileProgress) -> None:
        self._listed_before, self._reading_since = progress.listed, time.monotonic()
        total = progress.at_clerk if self._options.since is None else None
        self._bar.update(self._task, total=total, completed=progress.listed)
        self._log(
            "info",
            "reconcile_began",
            at_clerk=progress.at_clerk,
            resumed=progress.resumed,
            dry_run=self._options.dry_run,
        )

    def progressed(self, progress: ReconcileProgress) -> None:
        says = ", ".join(f"{count:,} {drift}" for drift, count in sorted(progress.found.items()) if count)
        self._bar.update(self._task, completed=progress.listed, rate=f"{self._rate():,.0f}/s", says=says)
        if self._report:
            self._report.flush()
        now = time.monotonic()
        if now - self._logged >= LOG_EVERY_S:
            self._logged = now
            self._log("info", "reconcile_progress", **self._counts(), users_per_second=round(self._rate()))

    def differs(self, difference: Difference) -> None:
        self._line(
            {
                "user": difference.user_id,
                "difference": difference.drift,
                "repaired": difference.repaired,
                "detail": difference.detail,
            }
        )

    async def may_delete(self, gone: Sequence[UserId]) -> bool:
        if self._yes:
            return True
        self._bar.stop()
        for user_id in gone[:NAMED]:
            print(user_id, file=sys.stderr)
        if len(gone) > NAMED:
            print(f"and {len(gone) - NAMED:,} more", file=sys.stderr)
        whom = counted(len(gone), "user whom Clerk does not have", "users whom Clerk does not have")
        return await agreed(f"Delete {whom} here, for ever?")

    def waits(self, reason: str, seconds: float) -> None:
        self._bar.update(self._task, says=f"waiting {seconds:.0f} s: {reason}")
        self._log("warning", "reconcile_waits", reason=reason, seconds=round(seconds, 1))

    def ended(self, result: Result, reason: str = "") -> int:
        """Show the summary, and return the exit status."""
        self._bar.stop()
        summary = self._summary(result, reason)
        self._line({"summary": summary})
        level = "warning" if result.status else "info"
        self._log(level, "reconcile_ended", result=result.name, reason=reason or None, **self._counts())
        if self._as_json:
            print(json.dumps(summary), flush=True)
        else:
            self._print(result, reason)
        return result.status

    def _summary(self, result: Result, reason: str) -> dict[str, Any]:
        progress = self.progress
        return {
            "result": result.name,
            "reason": reason or None,
            "dry_run": self._options.dry_run,
            "since": None if self._options.since is None else rfc3339(self._options.since),
            "user": self._options.user,
            "began_at": rfc3339(progress.began_at),
            "resumed": progress.resumed,
            "seconds": round(time.monotonic() - self._began, 3),
            "users_per_second": round(self._rate(), 1),
            "looked_for_gone": self._options.since is None,
            "at_clerk": progress.at_clerk,
            **self._counts(),
            "differences": {
                drift: {"found": progress.found[drift], "repaired": progress.repaired[drift]} for drift in Drift
            },
        }

    def _counts(self) -> dict[str, Any]:
        progress = self.progress
        return {
            "listed": progress.listed,
            "moved": progress.moved,
            "found": progress.found.total(),
            "repaired": progress.repaired.total(),
            "left": progress.left,
        }

    def _print(self, result: Result, reason: str) -> None:
        progress = self.progress
        rows = []
        for drift in Drift:
            if found := progress.found[drift]:
                repaired = progress.repaired[drift]
                name = Text(drift, "" if repaired == found else "yellow")
                rows.append((name, str(found), str(repaired), _MEANS[drift]))
        if rows:
            print_table(("difference", "found", "repaired", "what it is"), rows, prose={"what it is"})
            print()
        seconds = time.monotonic() - self._began
        says = [f"{counted(progress.listed, 'user')} compared in {seconds:.1f} s, {self._rate():,.0f}/s."]
        if self._options.since is not None:
            says.append("Only users that changed since then were read; who is gone at Clerk was not looked for.")
        if self._options.dry_run:
            says.append("Nothing was written (--dry-run).")
        whole = self._options.since is None and not self._options.dry_run and not self._options.user
        again = "it goes on from here" if whole else "it begins anew"
        print(*says, result.says.format(reason=reason, again=again), sep="\n", flush=True)

    def _rate(self) -> float:
        listed = max(0, self.progress.listed - self._listed_before)
        return listed / max(0.001, time.monotonic() - self._reading_since)

    def _log(self, level: str, event: str, **fields: Any) -> None:
        if self._bar.disable:  # who watches the bar reads the same there, and in the summary
            getattr(log, level)(event, **fields)

    def _line(self, document: dict[str, Any]) -> None:
        if self._report:
            if not self._reported and not self.progress.resumed:
                self._report.truncate(0)
            self._reported = True
            self._report.write(json.dumps(document) + "\n")
