"""`python -m bench [--quick] [NAME…]`: print a table for each benchmark and write var/bench/results.json."""

import argparse
import json
import shlex
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import bench.bloat
import bench.cost
import bench.drain
import bench.flood
import bench.history
import bench.latency
import bench.me
import bench.reconcile
import bench.replicas
import bench.revocation
import bench.revoked_consumer
import bench.size
import bench.verify
import bench.verify_http
import bench.webhooks
from bench.figures import document, markdown
from bench.machine import description, load
from bench.peers import FOLDER
from bench.stage import ROOT, open_stage

BENCHMARKS = {
    "webhooks": bench.webhooks.measure,
    "me": bench.me.measure,
    "verify": bench.verify.measure,
    "verify-http": bench.verify_http.measure,
    "cost": bench.cost.measure,
    "flood": bench.flood.measure,
    "drain": bench.drain.measure,
    "latency": bench.latency.measure,
    "revocation": bench.revocation.measure,
    "bloat": bench.bloat.measure,
    "reconcile": bench.reconcile.measure,
    "history": bench.history.measure,
    "revoked": bench.revoked_consumer.measure,
    "replicas": bench.replicas.measure,
    "size": bench.size.measure,
}
ONLY_BY_NAME = ("size", "verify-http")
"""What takes an hour and 30 GB of disk, and what needs nginx and the proxies of `make .venv/proxies`."""
WITHOUT_KAFKA = {"cost", "verify-http"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the service beside its peers.")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"some of: {', '.join(BENCHMARKS)}; all but {' and '.join(ONLY_BY_NAME)} if left out",
    )
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: to see that it works, not how fast")
    parser.add_argument("--users", type=int, help=f"of `size`; {bench.size.USERS:,} if left out")
    parser.add_argument(
        "--against", action="append", default=[], type=Path, metavar="CHECKOUT", help="of `cost`: another, with a .venv"
    )
    arguments = parser.parse_args()
    benchmarks: dict[str, Any] = {
        **BENCHMARKS,
        "size": partial(bench.size.measure, users=arguments.users),
        "cost": partial(bench.cost.measure, against=arguments.against),
    }
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    run = {
        "command": shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **description(),
    }
    print("\n".join(f"- {name}: {value}" for name, value in run.items()), flush=True)
    results: dict[str, Any] = {}
    names = arguments.names or [name for name in BENCHMARKS if name not in ONLY_BY_NAME]
    with open_stage(with_kafka=not WITHOUT_KAFKA.issuperset(names)) as stage:
        shown = stage.sql(stage.postgres.dsn, "SELECT version()")[0][0].partition(" on ")[0]
        print(f"- servers: {shown} (fsync on), Apache Kafka 4.3.1, one broker, both on this machine", flush=True)
        for name in names:
            before, began = load(), time.monotonic()
            figures = []
            for figure in benchmarks[name](stage, quick=arguments.quick):
                figures.append(figure)
                print(
                    f"  {figure.what}: {figure.median:,.2f} {figure.unit}; {figure.note}", file=sys.stderr, flush=True
                )
            seconds = round(time.monotonic() - began)
            print(f"\n## {name}\n\nBefore: {before}. It took {seconds} s.\n\n{markdown(figures)}", flush=True)
            results[name] = {"run": run, "before": before, "seconds": seconds, "figures": document(figures)}
    file = FOLDER / "results.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    # What this run did not measure stays as an earlier one left it.
    results = (json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}) | results
    file.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\nWritten to {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
