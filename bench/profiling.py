"""`python -m bench.profiling PY_SPY`: where `serve` spends its time, by sampling it under the load of `bench cost`.

For each route it writes a flame graph (`var/profile/ROUTE.svg`) and the sampled stacks (`ROUTE.txt`, which
speedscope.app reads too), and prints the functions that the time is spent in.
"""

import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from bench.cost import ROUTES, WEBHOOKS, Side, side
from bench.stage import ROOT, open_stage

_FOLDER = ROOT / "var/profile"
_SECONDS = 8
_SHOWN = 40


def main(py_spy: str) -> None:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with open_stage(with_kafka=False) as stage, ExitStack() as exits:
        served = side(stage, exits)
        for route in ROUTES:
            name = route.rpartition("/")[2]
            for kind, suffix in (("flamegraph", "svg"), ("raw", "txt")):
                _record(py_spy, served, route, ["--format", kind, "--output", str(_FOLDER / f"{name}.{suffix}")])
            print(f"\n## {route}\n\n{table((_FOLDER / f'{name}.txt').read_text(encoding='utf-8'))}", flush=True)
    print(f"\nWritten to {_FOLDER.relative_to(ROOT)}")


def _record(py_spy: str, served: Side, route: str, options: list[str]) -> None:
    over = threading.Event()

    def keep_busy() -> None:
        while not over.is_set():
            served.send(route, 2_000 if route == WEBHOOKS else 5_000)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        command = [py_spy, "record", "--subprocesses", "--rate", "500", "--duration", str(_SECONDS), *options]
        subprocess.run([*command, "--pid", str(served.child.pid)], check=True, stdout=subprocess.DEVNULL)
    finally:
        over.set()
        busy.join()


def table(stacks: str) -> str:
    """Return a Markdown table of the functions with most samples of their own; a stack a line, its count last."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        within.update(dict.fromkeys(frames, int(count)))
    total = own.total() or 1
    rows = [f"| {of / total:.1%} | {within[name] / total:.1%} | {name} |" for name, of in own.most_common(_SHOWN)]
    return "\n".join(["| itself | with what it calls | function |", "|---|---|---|", *rows])


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()))
